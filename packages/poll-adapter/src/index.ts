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
export { fieldCursor, type FieldCursorOptions } from './feed/field-cursor.ts'
export type { TimestampForm } from './feed/timestamp.ts'
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
export type { Schedule } from './tick/schedule.ts'
export { type TickLoop, tickLoop } from './tick/tick-loop.ts'

// For people who extend: metrics, other packages of Millrace.
export {
  type BridgeFailed,
  type BridgePolled,
  type FeedPolled,
  type FeedRefused,
  type ItemUnreachable,
  pollChannels,
  type PollChannels,
  type SnapshotChanged,
} from './diagnostics.ts'
