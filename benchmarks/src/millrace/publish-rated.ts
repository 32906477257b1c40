import { connect, type Millrace } from '@millrace/runtime'
import { serve } from '../harness/program.ts'
import type { Place } from '../harness/workbench.ts'
import { Steady } from '../load/steady.ts'
import { timedEventAt } from '../load/timed-event.ts'
import type { RatedPublisherProgram } from '../resources/program.ts'
import { timedStream } from './timed.ts'

const stream = timedStream()
let millrace: Millrace
let steady: Steady
let published = 0

serve({
  async open({ place }: { readonly place: Place }) {
    millrace = await connect(place.url, { prefix: place.prefix })
  },

  begin(perSecond: number) {
    steady = new Steady({ perSecond, firstSequence: published }, (sequence) =>
      millrace.publish(stream, timedEventAt(sequence)),
    )
  },

  async stop() {
    published = await steady.stop()
    return published
  },
} satisfies RatedPublisherProgram)
