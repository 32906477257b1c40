import { connect, defineStream, type RetentionOptions } from '@millrace/runtime'
import { serve } from '../harness/program.ts'
import { type FlightEvent, flightEvent, flightEventAt } from '../load/flight-event.ts'
import { publishAll } from '../load/publish-all.ts'
import { stopwatch } from '../load/stopwatch.ts'
import type { Keeps, RetentionProgram, RetentionTask } from './program.ts'

// Publishing as in the throughput benchmark; only the retention of the stream differs.
const CHUNKS_IN_FLIGHT = 8
/** Sweeps raise the floor below which publishing may trim: often, because the run is short. */
const SWEEP_EVERY_MS = 200

const retentions: Readonly<Record<Keeps, RetentionOptions>> = {
  everything: { maxAgeMs: Number.POSITIVE_INFINITY },
  'the-default': {},
  little: { maxAgeMs: 500, maxLength: 20_000 },
}

serve({
  async publish({ place, keeps, warmUp, measured }: RetentionTask) {
    const millrace = await connect(place.url, {
      prefix: place.prefix,
      sweepEveryMs: SWEEP_EVERY_MS,
    })
    const stream = defineStream('flights', { schema: flightEvent, retention: retentions[keeps] })
    const publishChunk = async (from: number, to: number): Promise<void> => {
      const events: FlightEvent[] = []
      for (let i = from; i < to; i++) events.push(flightEventAt(i))
      const results = await millrace.publish(stream, events)
      if (results.length !== events.length) throw new Error('not every event was answered')
    }
    await publishAll({ from: 0, to: warmUp, chunksInFlight: CHUNKS_IN_FLIGHT }, publishChunk)
    const stop = stopwatch()
    const range = { from: warmUp, to: warmUp + measured, chunksInFlight: CHUNKS_IN_FLIGHT }
    await publishAll(range, publishChunk)
    const lap = stop()
    await millrace.close()
    return lap
  },
} satisfies RetentionProgram)
