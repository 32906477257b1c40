import {
  defineStream,
  type EventStream,
  type ProducerOptions,
  type RetentionOptions,
} from '@millrace/runtime'
import { type FlightEvent, flightEvent } from '../load/flight-event.ts'

/** What the owner of a stream may have chosen. */
export const policyNames = ['expire', 'delay', 'reject', 'spool'] as const

export type PolicyName = (typeof policyNames)[number]

export interface Policy {
  readonly retention: RetentionOptions
  readonly producer: Omit<ProducerOptions, 'spool'>
  /** Whether the producer also gets a spool. */
  readonly spoolBytes?: number
  /** Nothing may be more, at any moment. */
  readonly bounds: {
    readonly events: number
    readonly redisMiB: number
    readonly producerMiB: number
    readonly groupMiB: number
  }
}

const MARKS = { lagEvents: { low: 5_000, high: 10_000, critical: 20_000 } }
/** What was processed goes soon, what was not stays, so that the stream's length is the lag. */
const KEEP: RetentionOptions = { unread: 'keep', maxLength: 1_000 }
const EXPIRE_LENGTH = 100_000

/**
 * `critical`, what may be on its way (8,192 in flight and as much that has been accepted), and what was
 * processed and not swept yet.
 */
const PACED = { events: 40_000, redisMiB: 32, producerMiB: 400, groupMiB: 300 }

export const policies: Readonly<Record<PolicyName, Policy>> = {
  // Nobody slows the producer down; what the group does not come to is removed, counted, and told of.
  expire: {
    retention: { unread: 'expire', maxLength: EXPIRE_LENGTH },
    producer: { onPressure: 'signal', pressure: MARKS },
    // What is published within two seconds comes on top, until the sweeps are frequent.
    bounds: { events: 4 * EXPIRE_LENGTH, redisMiB: 160, producerMiB: 400, groupMiB: 300 },
  },
  delay: {
    retention: KEEP,
    producer: { onPressure: 'delay', pressure: MARKS },
    bounds: PACED,
  },
  reject: {
    retention: KEEP,
    producer: { onPressure: 'reject', pressure: MARKS },
    bounds: PACED,
  },
  spool: {
    retention: KEEP,
    producer: {
      onPressure: 'spool',
      pressure: MARKS,
      whenUnavailable: 'spool',
      producerId: 'tower',
    },
    spoolBytes: 32 * 1024 * 1024,
    bounds: PACED,
  },
}

export function streamUnder(policy: PolicyName): EventStream<FlightEvent, FlightEvent> {
  return defineStream('flights', { schema: flightEvent, retention: policies[policy].retention })
}

/** Sweeps come often, because ten minutes stand for days. */
export const SWEEP_EVERY_MS = 1_000
