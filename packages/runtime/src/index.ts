// For users.
export { connect, type Millrace } from './millrace.ts'
export {
  defineStream,
  type EventStream,
  type LimitOptions,
  type Retention,
  type RetentionOptions,
  type SchemaStreamOptions,
  type StreamOptions,
} from './stream/define-stream.ts'
export type { ClaimCheckOptions } from './blob/claim-check.ts'
export { fileBlobStore, type FileBlobStoreOptions } from './blob/file-blob-store.ts'
export type { Event } from './stream/event.ts'
export type { StartPosition } from './stream/start-position.ts'
export type { ConnectOptions, RedisAddress } from './connection/options.ts'
export type { Producer } from './producer/producer.ts'
export type {
  DirectProducerOptions,
  ProducerOptions,
  PublishManyOptions,
  PublishOptions,
  PublishResult,
  StoredInSpool,
  StoredInStream,
} from './producer/options.ts'
export type { DurabilityOptions } from './producer/durability/options.ts'
export type { SpoolOptions } from './producer/spool/options.ts'
export type { PressureOptions, PressurePolicy, Watermarks } from './pressure/options.ts'
export type {
  Pressure,
  PressureCause,
  PressureFigures,
  PressureLevel,
} from './pressure/pressure.ts'
export type { Reader } from './reader/reader.ts'
export type { ReaderOptions } from './reader/options.ts'
export type { Consumer, CloseOptions } from './consumer/consumer.ts'
export type { ConsumerOptions } from './consumer/options.ts'
export type { ConsumerState } from './consumer/state.ts'
export type { ConsumerHandler } from './consumer/hand-out.ts'
export type { ConsumerGroup, Deadline, Leftovers } from './group/group.ts'
export type { GroupHandler } from './group/dispatcher.ts'
export type { GroupState } from './group/state.ts'
export type { GroupOptions } from './group/options.ts'
export type {
  ConsumerReport,
  GroupReport,
  Lag,
  Losses,
  MemberReport,
  StreamReport,
} from './inspect/inspect.ts'
export type { Health } from './health/health.ts'
export type { ReadHealth, ReadState } from './health/read-health.ts'
export type { ClockOffset } from './health/clock-offset.ts'
export { doctor, type DoctorOptions, type DoctorReport } from './doctor/doctor.ts'
export type { Check, Finding, Severity } from './doctor/finding.ts'
export type { StreamAdmin } from './admin/stream-admin.ts'
export type {
  CallOptions,
  DeleteOptions,
  PauseOptions,
  ReplayOptions,
  ResetOptions,
  ResumeOptions,
  TrimOptions,
  TrimTo,
} from './admin/options.ts'
export type { StreamPause } from './admin/pauses.ts'
export type { CreateReport } from './admin/create.ts'
export type { DeleteReport } from './admin/delete.ts'
export type { ReplayReport } from './admin/replay.ts'
export type { ResetReport } from './admin/reset.ts'
export type { TrimReport, UnreadLoss } from './admin/trim.ts'
export type { RemoveOptions } from './retention/remove.ts'
export type { DeliveryContext, GroupDeliveryContext } from './delivery/context.ts'
export type { DeadLetterReason } from './delivery/dead-letter-fields.ts'
export type { DeadLetters } from './dead-letters/dead-letters.ts'
export type { DeadLetter, DeadLetterPayload } from './dead-letters/dead-letter.ts'
export type {
  DiscardOptions,
  DiscardProgress,
  DiscardReport,
  ListOptions,
  RedriveOptions,
  RedriveProgress,
  RedriveReport,
} from './dead-letters/options.ts'
export type { BackoffOptions } from './delivery/retry-schedule.ts'
export { settledDeliveries } from './delivery/settled-deliveries.ts'
export { UnrecoverableError } from './delivery/unrecoverable.ts'
export {
  type ErrorCode,
  type ErrorCodeFacts,
  errorCodes,
  type Gap,
  isMillraceError,
  MillraceError,
} from './errors.ts'

// For people who extend: codecs, metrics, other packages of Millrace.
export { type Codec, jsonCodec } from './stream/codec.ts'
export type {
  BlobCallOptions,
  BlobContent,
  BlobStore,
  ListedBlob,
  PutBlobOptions,
} from './blob/blob-store.ts'
export type { BlobReference } from './blob/reference.ts'
export {
  type Acknowledged,
  channels,
  type Channels,
  type Checkpointed,
  type Claimed,
  type AbandonedFound,
  type AdminPaused,
  type BlobsCollected,
  type ConnectionClosed,
  type ConnectionOpened,
  type DeadLettered,
  type DeliveriesSettled,
  type DeliveryDetails,
  type Fact,
  type GapMet,
  type Handled,
  type LeaseChanged,
  type LoopFailed,
  type PositionChanged,
  type PressureChanged,
  type Published,
  type PublishFailed,
  type PublishStalled,
  type Received,
  type Redriven,
  type SettledDelivery,
  type SpoolAdopted,
  type SpoolChanged,
  type Swept,
  type TailMembership,
  type TailRead,
  type Times,
} from './diagnostics.ts'
export type {
  HandlerFacts,
  Instrumentation,
  PublishCallFacts,
} from './instrumentation/instrumentation.ts'
export { headerOf, type RawEntry } from './stream/entry.ts'
export { compareIds, idTimeMs, isStreamId } from './stream/stream-id.ts'
export type { Extension, RunOptions } from './extension/extension.ts'
export type { ElectionOptions, HeldLease } from './extension/election.ts'
export type { AppendedStep, Step, StepEvent } from './extension/append-step.ts'
export { leaseLua } from './extension/election-script.ts'
export { defineScript, type Script, type ScriptArgument } from './connection/script.ts'
