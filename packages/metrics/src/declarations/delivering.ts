import { DURATION_BUCKETS, instruments } from '../semantic-conventions.ts'
import { counter, type Declarations, histogram } from './declare.ts'

const GROUP = ['stream', 'group'] as const

/**
 * From below a millisecond to what a backlog of a quarter of an hour makes of it, with bounds at 0.1 s
 * and 0.5 s, which are promised.
 */
const LATENCY_BUCKETS: readonly number[] = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 30, 60,
  300, 900,
]

/** What becomes of events in this process. `group` is the name of the consumer or consumer group. */
export const delivering: Declarations<
  | 'received'
  | 'delivered'
  | 'handled'
  | 'failed'
  | 'retried'
  | 'redelivered'
  | 'interrupted'
  | 'claimed'
  | 'expired'
  | 'gap'
  | 'deadLettered'
  | 'redriven'
  | 'publishToReceive'
  | 'receiveToDone'
  | 'publishToDone'
  | 'handlerDuration'
  | 'settleDuration'
> = {
  received: counter('received_events', 'events', ['stream', 'by'], {
    meaning:
      'Events read from Redis: by the shared tail, in pages behind it, or by a consumer group',
  }),
  delivered: counter('delivered_events', 'events', GROUP, {
    meaning: 'Events handed to a handler for the first time in this process',
    worry: 'When it falls to nothing while the lag grows.',
    openTelemetry: instruments.consumedMessages,
  }),
  handled: counter('handled_events', 'events', GROUP, {
    meaning: 'Events whose handler succeeded',
  }),
  failed: counter('failed_attempts', 'deliveries', GROUP, {
    meaning: 'Attempts whose handler failed, or that found a payload that is not valid',
    worry: 'When they are a growing part of all attempts.',
  }),
  retried: counter('retried_attempts', 'deliveries', GROUP, {
    meaning: 'Attempts after the first one',
  }),
  redelivered: counter('redelivered_events', 'events', GROUP, {
    meaning:
      'Events handed out for the first time here that may have been started elsewhere before',
    worry: 'When they keep coming: members die, stall, or lose their leases.',
  }),
  interrupted: counter('interrupted_attempts', 'deliveries', GROUP, {
    meaning:
      'Attempts that were told to give up, and did, because the lease was lost or on closing',
  }),
  claimed: counter('claimed_events', 'events', GROUP, {
    meaning: 'Events taken over from members that were dead',
    worry: 'When they keep coming.',
  }),
  expired: counter('expired_events', 'events', GROUP, {
    meaning: 'Events that had left the stream before this member could handle them',
    worry: 'At once: they were lost to the group.',
  }),
  gap: counter('gap_events', 'events', GROUP, {
    meaning:
      'Events removed before this consumer or consumer group had processed them, as it was told',
    worry: 'At once: retention is shorter than the lag.',
  }),
  deadLettered: counter('dead_lettered_events', 'events', ['stream', 'group', 'reason'], {
    meaning: 'Events moved to the dead letters',
    worry: 'At any: somebody has to look at them.',
  }),
  redriven: counter('redriven_events', 'events', GROUP, {
    meaning: 'Dead letters put on their way back',
  }),
  publishToReceive: histogram('publish_to_receive_seconds', GROUP, LATENCY_BUCKETS, {
    meaning: 'From the event being stored in Redis to its arrival in this process',
    worry: 'When the share below 0.5 s is no longer all of it, without a backlog to explain it.',
    openTelemetry: 'millrace.publish_to_receive',
  }),
  receiveToDone: histogram('receive_to_done_seconds', GROUP, LATENCY_BUCKETS, {
    meaning: 'From the arrival of an event in this process to the success of its handler',
    worry: 'When it grows while handlers are as quick as ever: too few of them run at once.',
    openTelemetry: 'millrace.receive_to_done',
  }),
  publishToDone: histogram('publish_to_done_seconds', GROUP, LATENCY_BUCKETS, {
    meaning: 'From the event being stored in Redis to the success of its handler',
    worry: 'When the share below 0.1 s falls under 95 %.',
    openTelemetry: 'millrace.publish_to_done',
  }),
  handlerDuration: histogram('handler_duration_seconds', GROUP, DURATION_BUCKETS, {
    meaning: 'How long one attempt of a handler took, however it ended',
    worry: 'When it comes near the time limit of handlers.',
    openTelemetry: instruments.processDuration,
  }),
  settleDuration: histogram('settle_duration_seconds', GROUP, DURATION_BUCKETS, {
    meaning: 'How long Redis took to store a checkpoint, or to confirm what a group is done with',
  }),
}
