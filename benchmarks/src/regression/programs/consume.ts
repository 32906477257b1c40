import { connect, type Millrace } from '@millrace/runtime'
import { serve } from '../../harness/program.ts'
import type { Place } from '../../harness/workbench.ts'
import { plantSlowdown } from '../../load/planted-slowdown.ts'
import { Tally } from '../../load/tally.ts'
import { flights } from '../../millrace/flights.ts'
import type { SliceProgram } from '../slice-program.ts'

// A Consumer that catches up with default options, a slice at a time.
const slowDown = plantSlowdown()
let millrace: Millrace
let slices = 0

serve({
  async open({ url, prefix }: Place) {
    millrace = await connect(url, { prefix })
  },

  async slice(events: number) {
    slices += 1
    const tally = new Tally({ warmUp: 1, measured: events - 1 })
    const consumer = millrace
      .consumer(flights, { name: `consumer-${slices}` })
      .start(({ data }) => {
        tally.see(data.sequence)
        slowDown()
      })
    await Promise.race([tally.complete, consumer.done])
    await consumer.close()
    return tally.finish()
  },
} satisfies SliceProgram)
