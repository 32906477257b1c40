// For users.
export {
  isPollAdapterError,
  PollAdapterError,
  type PollErrorCode,
  type PollErrorCodeFacts,
  pollErrorCodes,
} from './errors.ts'
export { createFeed, type CursorFeed, type FeedPage } from './feed/feed.ts'
export type { FeedOptions, PollRequest } from './feed/options.ts'
export { positionCursor } from './feed/position-cursor.ts'
export { timeCursor, type TimeCursorOptions } from './feed/time-cursor.ts'
export {
  fieldCursor,
  type FieldCursorOptions,
  sourceCursor,
  type SourceCursorOptions,
} from './feed/field-cursor.ts'
export type { TimestampForm } from './feed/timestamp.ts'
export {
  type ChangeAnswer,
  type ChangeRequest,
  createSnapshot,
  type ListRequest,
  type Snapshot,
  type SnapshotEntry,
  type SnapshotList,
  type SnapshotState,
} from './snapshot/snapshot.ts'
export type { SnapshotOptions, StoredEntry, StoredSnapshot } from './snapshot/options.ts'
export type { HttpHandler } from './http/answer.ts'
export { feedHandler, type FeedHandlerOptions } from './http/feed-handler.ts'
export { snapshotHandler, type SnapshotHandlerOptions } from './http/snapshot-handler.ts'
export { nodeListener, type NodeListener } from './http/node-listener.ts'
export type { QueueOptions, SqsClientOptions } from './queue/options.ts'
export {
  createSqsClient,
  type SqsAnswer,
  type SqsClient,
  type SqsCommand,
  type SqsSendOptions,
} from './queue/sqs-client.ts'
export { SqsError, type SqsErrorCode } from './queue/sqs-error.ts'
export { changeHeaders } from './change/headers.ts'
export type { Change } from './change/change.ts'
export type { CompareCursors, Cursor } from './change/cursor.ts'
export {
  type BorderSource,
  defineSource,
  type ExactSource,
  type Fetch,
  type OverlapSource,
  type Page,
  type SnapshotSource,
  type Source,
  type SourceOptions,
} from './change/source.ts'
export { type Bridge, createBridge } from './bridge/bridge.ts'
export type { BridgedEvent, BridgeOptions } from './bridge/options.ts'
export {
  httpSnapshotSource,
  type HttpSnapshotOptions,
  httpSource,
  type HttpSourceOptions,
} from './bridge/http-source.ts'
export { sqlSource, type SqlSourceOptions } from './bridge/sql-source.ts'
export type { CursorStore, TickContext, TickHandler, TickLoopOptions } from './tick/options.ts'
export type { TickMigration } from './tick/migrated.ts'
export type { Schedule } from './tick/schedule.ts'
export { type TickLoop, tickLoop } from './tick/tick-loop.ts'
export { createMigration, type Migration, type SwitchOptions } from './migration/migration.ts'
export { createPoller, type Poller, type PollerCloseOptions } from './migration/poller.ts'
export type { PollDelivery, PollerOptions, PollHandler } from './migration/poller-options.ts'
export type { AuditEntry } from './migration/record.ts'
export type { ShadowExample, ShadowReport } from './migration/shadow-report.ts'
export {
  type Capability,
  type MigrationMode,
  type MigrationRecord,
  type MigrationState,
  migrationStates,
} from './migration/state.ts'

// For people who extend: metrics, other packages of Millrace.
export type { CursorForm, CursorValue, PageEnd, Since, TieSide } from './feed/cursor-form.ts'
export type { StreamPosition } from './feed/stream-position.ts'
export { problemOf, type ProblemDocument } from './http/problem.ts'
export {
  type BridgeFailed,
  type BridgePolled,
  type FeedPolled,
  type FeedRefused,
  type MigrationSwitched,
  type ItemUnreachable,
  pollChannels,
  type PollChannels,
  type PollerFailed,
  type ShadowCompared,
  type SnapshotChanged,
} from './diagnostics.ts'
