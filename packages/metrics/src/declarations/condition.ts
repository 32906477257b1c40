import { type Declarations, gauge } from './declare.ts'

const GROUP = ['stream', 'group'] as const

/** What only an open Millrace knows, once the recording watches it. */
export const condition: Declarations<
  'ready' | 'live' | 'readState' | 'readConfirmed' | 'inFlight' | 'credit' | 'clockOffset'
> = {
  ready: gauge('ready', 'state', [], {
    meaning: 'Whether everything here that reads is reading, or has a good reason not to',
    worry: 'When it is 0 for longer than a failover.',
  }),
  live: gauge('live', 'state', [], {
    meaning: 'Whether the process can still mend itself; 0 asks for a restart',
    worry: 'At once.',
  }),
  readState: gauge('read_state', 'state', ['stream', 'group', 'state'], {
    meaning: 'How a reader, consumer or member stands: 1 for the state that holds',
    worry: 'When the state is deaf or stopped.',
  }),
  readConfirmed: gauge('read_confirmed_age_seconds', 'seconds', GROUP, {
    meaning:
      'How long ago Redis last answered a read, or confirmed that somebody else has the lease; before that, for how long it has not',
    worry: 'When it passes 10 s.',
  }),
  inFlight: gauge('in_flight_events', 'events', GROUP, {
    meaning: 'Events received here and not done with',
    worry: 'When it stays at its limit: handlers are the bottleneck.',
  }),
  credit: gauge('credit_events', 'events', GROUP, {
    meaning: 'How many more events may be received before handlers have to finish some',
  }),
  clockOffset: gauge('clock_offset_seconds', 'seconds', [], {
    meaning:
      "How far this machine's clock is ahead of Redis', as last measured; latencies allow for it",
    worry: 'When it passes 1 s: clocks are not kept in step.',
  }),
}
