import { connect } from '@millrace/runtime'
import { serve } from '../harness/program.ts'
import { Tally } from '../load/tally.ts'
import type { Task, ThroughputProgram } from '../throughput/program.ts'
import { flights } from './flights.ts'

// A Consumer that catches up with default options: in order, validated, with its lease and its
// checkpoints. The stopwatch runs until the last position is stored.
serve({
  async consume({ place, warmUp, measured }: Task) {
    const millrace = await connect(place.url, { prefix: place.prefix })
    const tally = new Tally({ warmUp, measured })
    const consumer = millrace.consumer(flights, { name: 'bench' }).start(({ data }) => {
      tally.see(data.sequence)
    })
    await Promise.race([tally.complete, consumer.done])
    await consumer.close()
    const lap = tally.finish()
    await millrace.close()
    return lap
  },
} satisfies Pick<ThroughputProgram, 'consume'>)
