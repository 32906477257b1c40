import { connect, type Millrace, type Producer, type PublishResult } from '@millrace/runtime'
import { serve } from '../harness/program.ts'
import { Journal } from '../load/journal.ts'
import { Steady } from '../load/steady.ts'
import { type TimedEvent, timedEventAt } from '../load/timed-event.ts'
import type { SendSteadilyTask, SteadySenderProgram } from '../recovery/program.ts'
import { timedStream } from './timed.ts'

// A producer at a fixed pace that writes down what it was promised. Redis may be away for a while.
const DEADLINE_MS = 30_000

let steady: Steady
let spooled = 0

serve({
  async begin({ place, perSecond, firstSequence, journal: path, spool }: SendSteadilyTask) {
    const { url, prefix } = place
    const millrace = await connect(url, { prefix, deadlineMs: DEADLINE_MS })
    const producer = producerOf(millrace, spool)
    const journal = new Journal(path, 2)
    steady = new Steady({ perSecond, firstSequence }, async (sequence) => {
      const event = timedEventAt(sequence)
      const { stored } = await producer.publish(event)
      if (stored === 'spool') spooled += 1
      journal.append(sequence, event.sentUs)
    })
  },

  spooled: () => spooled,

  async stop() {
    await steady.stop()
  },
} satisfies SteadySenderProgram)

function producerOf(
  millrace: Millrace,
  directory: string | undefined,
): Producer<TimedEvent, PublishResult> {
  if (directory === undefined) return millrace.producer<TimedEvent>(timedStream())
  return millrace.producer<TimedEvent>(timedStream(), {
    producerId: 'bench',
    whenUnavailable: 'spool',
    spool: { directory },
  })
}
