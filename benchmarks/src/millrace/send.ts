import { connect } from '@millrace/runtime'
import { serve } from '../harness/program.ts'
import type { SenderProgram, SendTask } from '../latency/program.ts'
import { sendPaced } from '../load/pace.ts'
import { timedEventAt } from '../load/timed-event.ts'
import { timedStream } from './timed.ts'

serve({
  async send({ place, ...pace }: SendTask) {
    const millrace = await connect(place.url, { prefix: place.prefix })
    const stream = timedStream()
    const sent = await sendPaced(pace, (from, to) => {
      const calls: Promise<unknown>[] = []
      for (let i = from; i < to; i++) calls.push(millrace.publish(stream, timedEventAt(i)))
      return Promise.all(calls)
    })
    await millrace.close()
    return sent
  },
} satisfies SenderProgram)
