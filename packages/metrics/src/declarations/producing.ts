import { DURATION_BUCKETS, instruments } from '../semantic-conventions.ts'
import { counter, type Declarations, gauge, histogram } from './declare.ts'

const STREAM = ['stream'] as const
const SPOOL = ['stream', 'producer'] as const

/** Everything that a process shows about what it publishes. `stream` is the event stream's name. */
export const producing: Declarations<
  | 'published'
  | 'publishedBytes'
  | 'duplicates'
  | 'publishFailed'
  | 'publishDuration'
  | 'publishStalls'
  | 'pressure'
  | 'spooling'
  | 'spoolEvents'
  | 'spoolBytes'
  | 'spoolAge'
  | 'spoolAdopted'
> = {
  published: counter('published_events', 'events', STREAM, {
    meaning: 'Events that Redis has confirmed to be in the stream',
    worry: 'When the rate falls to nothing while the application is busy.',
    openTelemetry: instruments.sentMessages,
  }),
  publishedBytes: counter('published_bytes', 'bytes', STREAM, {
    meaning: 'Size of the events published, names of fields included',
  }),
  duplicates: counter('publish_duplicates', 'events', STREAM, {
    meaning: 'Events not stored because their idempotency key was known already',
  }),
  publishFailed: counter('publish_failed_events', 'events', ['stream', 'code'], {
    meaning: 'Events that a producer gave up, by the code of the error',
    worry: 'At once: these events are nowhere, unless their caller tries again.',
  }),
  publishDuration: histogram('publish_duration_seconds', STREAM, DURATION_BUCKETS, {
    meaning:
      'From the call of publish for the oldest event of a batch to Redis confirming the batch',
    worry: 'When the 99th percentile is no longer a few round trips.',
    openTelemetry: instruments.operationDuration,
  }),
  publishStalls: counter('publish_stalls', 'occurrences', STREAM, {
    meaning: 'Times that a producer stopped to wait for outstanding answers before it sent again',
    worry: 'When there are several in a minute: connections are lost, or the cluster moves.',
  }),
  pressure: gauge('publish_pressure', 'state', ['stream', 'level'], {
    meaning: 'Pressure on the stream as its producers last heard: 1 for the level that holds',
    worry: 'When the level is critical: consumers do not keep up, or Redis runs out of memory.',
  }),
  spooling: gauge('spool_active', 'state', SPOOL, {
    meaning: 'Whether new events go to the disk because Redis is away',
    worry: 'When it lasts longer than a failover.',
  }),
  spoolEvents: gauge('spool_events', 'events', SPOOL, {
    meaning: 'Events on disk that are not known to be in the stream yet',
    worry: 'When it grows, well before the limit of the spool.',
  }),
  spoolBytes: gauge('spool_bytes', 'bytes', SPOOL, {
    meaning: 'Size of the events on disk',
    worry: 'When it comes near the limit of the spool, or of the disk.',
  }),
  spoolAge: gauge('spool_oldest_age_seconds', 'seconds', SPOOL, {
    meaning: 'For how long the oldest event has been on disk',
    worry: 'When it comes near the age at which the spool gives events up.',
  }),
  spoolAdopted: counter('spool_adopted_events', 'events', STREAM, {
    meaning: 'Events taken over from the spools of processes that have ended',
  }),
}
