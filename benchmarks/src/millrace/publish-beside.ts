import { connect, defineStream, type EventStream, type Millrace } from '@millrace/runtime'
import type { PublisherProgram } from '../fanout/program.ts'
import { serve } from '../harness/program.ts'
import type { Place } from '../harness/workbench.ts'
import { type Pace, sendPaced } from '../load/pace.ts'
import { publishAll } from '../load/publish-all.ts'
import { stopwatch } from '../load/stopwatch.ts'
import { type TimedEvent, timedEvent, timedEventAt } from '../load/timed-event.ts'
import { timedStream } from './timed.ts'

// The producer beside many consumers.
const CHUNKS_IN_FLIGHT = 4
const WARM_UP_EVENTS = 40_000

const unread = defineStream('unread', { schema: timedEvent })

let millrace: Millrace
let streams: readonly EventStream<TimedEvent, TimedEvent>[] = []

serve({
  async open({ place, streams: count }: { readonly place: Place; readonly streams: number }) {
    millrace = await connect(place.url, { prefix: place.prefix })
    streams = Array.from({ length: count }, (_, index) => timedStream(index))
    await publishTo(unread, WARM_UP_EVENTS)
  },

  paced(pace: Pace) {
    return sendPaced(pace, (from, to) => {
      const calls: Promise<unknown>[] = []
      for (let i = from; i < to; i++) {
        calls.push(millrace.publish(streamAt(i % streams.length), timedEventAt(i)))
      }
      return Promise.all(calls)
    })
  },

  async burst(events: number) {
    const stop = stopwatch()
    await publishTo(streamAt(0), events)
    return stop()
  },

  async flood(events: number) {
    const stop = stopwatch()
    await publishTo(unread, events)
    return stop()
  },
} satisfies PublisherProgram)

async function publishTo(
  stream: EventStream<TimedEvent, TimedEvent>,
  events: number,
): Promise<void> {
  const range = { from: 0, to: events, chunksInFlight: CHUNKS_IN_FLIGHT }
  await publishAll(range, async (from, to) => {
    const chunk = Array.from({ length: to - from }, (_, index) => timedEventAt(from + index))
    await millrace.publish(stream, chunk)
  })
}

function streamAt(index: number): EventStream<TimedEvent, TimedEvent> {
  const stream = streams[index]
  if (stream === undefined) throw new Error('publishing before the streams were opened')
  return stream
}
