// For users.
export {
  isPollAdapterError,
  PollAdapterError,
  type PollErrorCode,
  type PollErrorCodeFacts,
  pollErrorCodes,
} from './errors.ts'

// For people who extend: metrics, other packages of Millrace.
export {
  type FeedPolled,
  type FeedRefused,
  pollChannels,
  type PollChannels,
  type SnapshotChanged,
} from './diagnostics.ts'
