import { Queue, Worker } from 'bullmq'
import { serve } from '../harness/program.ts'
import { type FlightEvent, flightEventAt } from '../load/flight-event.ts'
import { publishAll } from '../load/publish-all.ts'
import { type Lap, stopwatch } from '../load/stopwatch.ts'
import { Tally } from '../load/tally.ts'
import type { Task, ThroughputProgram } from '../throughput/program.ts'

// BullMQ 6.7 as its guide advises for throughput: jobs added in bulk, a worker with much concurrency,
// completed jobs removed at once, so that Redis does not fill up with them. The worker fetches the
// next job in the same script call that completes the last, which is its own default. It does not
// validate payloads.
const CONCURRENCY = 100
const BULKS_IN_FLIGHT = 4

serve({
  async publish({ place, warmUp, measured }: Task) {
    const queue = new Queue<FlightEvent>('flights', connectionTo(place))
    const publishChunk = async (from: number, to: number): Promise<void> => {
      const jobs: { name: string; data: FlightEvent }[] = []
      for (let i = from; i < to; i++) jobs.push({ name: 'flight', data: flightEventAt(i) })
      await queue.addBulk(jobs)
    }
    const chunksInFlight = BULKS_IN_FLIGHT
    await publishAll({ from: 0, to: warmUp, chunksInFlight }, publishChunk)
    const stop = stopwatch()
    await publishAll({ from: warmUp, to: warmUp + measured, chunksInFlight }, publishChunk)
    const lap = stop()
    await queue.close()
    return lap
  },

  async consume({ place, warmUp, measured }: Task) {
    const tally = new Tally({ warmUp, measured })
    const worker = new Worker<FlightEvent>(
      'flights',
      async ({ data }) => {
        tally.see(data.sequence)
      },
      { ...connectionTo(place), concurrency: CONCURRENCY, removeOnComplete: { count: 0 } },
    )
    let completed = 0
    const lap = await new Promise<Lap>((resolve, reject) => {
      worker.on('error', reject)
      worker.on('failed', (_, error) => {
        reject(error)
      })
      worker.on('completed', () => {
        completed += 1
        if (completed === warmUp + measured) resolve(tally.finish())
      })
    })
    await worker.close()
    return lap
  },
} satisfies ThroughputProgram)

function connectionTo(place: Task['place']): {
  connection: { host: string; port: number }
  prefix: string
} {
  const { hostname, port } = new URL(place.url)
  return { connection: { host: hostname, port: Number(port) }, prefix: place.prefix }
}
