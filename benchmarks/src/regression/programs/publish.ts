import { connect, type Millrace } from '@millrace/runtime'
import { serve } from '../../harness/program.ts'
import type { Place } from '../../harness/workbench.ts'
import { plantSlowdown } from '../../load/planted-slowdown.ts'
import { publishAll } from '../../load/publish-all.ts'
import { stopwatch } from '../../load/stopwatch.ts'
import { CHUNKS_IN_FLIGHT, publishFlights } from '../../millrace/publish-flights.ts'
import type { SliceProgram } from '../slice-program.ts'

// Publishing with default options, a slice at a time.
const slowDown = plantSlowdown()
let millrace: Millrace
let published = 0

serve({
  async open({ url, prefix }: Place) {
    millrace = await connect(url, { prefix })
  },

  async slice(events: number) {
    const range = { from: published, to: published + events, chunksInFlight: CHUNKS_IN_FLIGHT }
    published += events
    const stop = stopwatch()
    await publishAll(range, (from, to) => publishFlights(millrace, from, to, slowDown))
    return stop()
  },
} satisfies SliceProgram)
