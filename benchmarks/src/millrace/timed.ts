import { defineStream, type EventStream } from '@millrace/runtime'
import { type TimedEvent, timedEvent } from '../load/timed-event.ts'

/** A stream of events that say when they were sent; all options at their defaults. */
export function timedStream(index = 0): EventStream<TimedEvent, TimedEvent> {
  return defineStream(`timed-${index}`, { schema: timedEvent })
}
