import { connect } from '@millrace/runtime'
import { serve } from '../harness/program.ts'
import { Tally } from '../load/tally.ts'
import type { Task, ThroughputProgram } from '../throughput/program.ts'
import { flights } from './flights.ts'

// The only member of a ConsumerGroup works a full stream off, with default options: validated, with
// its lease, each event acknowledged. The stopwatch runs until the last ack has been confirmed.
serve({
  async consume({ place, warmUp, measured }: Task) {
    const millrace = await connect(place.url, { prefix: place.prefix })
    const tally = new Tally({ warmUp, measured })
    const member = millrace.consumerGroup(flights, { name: 'bench' }).start(({ data }) => {
      tally.see(data.sequence)
    })
    await Promise.race([tally.complete, member.done])
    await member.close()
    const lap = tally.finish()
    await millrace.close()
    return lap
  },
} satisfies Pick<ThroughputProgram, 'consume'>)
