import { createDeliveryRecorder, type DeliveryReport, waitFor } from '@millrace/testkit'
import type { EventStream } from '../../src/index.ts'
import type { ConformanceBed, Reading, StoredReading } from './bed.ts'
import { type Load, longestSilence, startLoad } from './load.ts'

/** A consumer, a group and a producer at work on one stream while the servers change under them. */
export interface Work {
  readonly load: Load
  /** Resolves when events that were published from now on have been handled by both. */
  flowing(): Promise<void>
  /** The longest time, in milliseconds, in which nothing was published or handled. */
  silences(): Readonly<Record<'consumer' | 'group' | 'publish', number>>
  /** Ends publishing, waits until both have handled all that is in the stream, and compares. */
  account(): Promise<Account>
}

export interface Account {
  readonly stored: readonly StoredReading[]
  /** Events that publish had answered and that are not in the stream: gone with a master. */
  readonly lostByRedis: number
  readonly failures: readonly unknown[]
  readonly board: DeliveryReport
  readonly pool: DeliveryReport
}

const FLOWING_TIMEOUT_MS = 25_000

export async function startWork(
  bed: ConformanceBed,
  stream: EventStream<Reading, Reading>,
): Promise<Work> {
  const recorder = createDeliveryRecorder({ order: 'stream' })
  const timesMs: Record<'board' | 'pool', number[]> = { board: [], pool: [] }
  let lastOfBoard = -1
  const see = (consumer: 'board' | 'pool', sequence: number, id: string): void => {
    recorder.record({ id, sequence, consumer })
    timesMs[consumer].push(performance.now())
  }
  const millrace = await bed.open()
  const consumer = millrace.consumer(stream, { name: 'board' })
  const group = millrace.consumerGroup(stream, { name: 'pool' })
  await consumer.start(({ id, data }) => {
    see('board', data.n, id)
    lastOfBoard = data.n
  }).ready
  await group.start(({ id }) => see('pool', 0, id)).ready
  const load = startLoad(await bed.open(), stream)
  bed.onClose(() => load.stop())

  const flowing = async (): Promise<void> => {
    const timeoutMs = FLOWING_TIMEOUT_MS
    const from = load.accepted.length
    // What a master takes that has been replaced is gone later: only what the present one has counts.
    const newest = await waitFor(
      async () => {
        const { id = '', n = 0 } =
          load.accepted.length > from + 5 ? (load.accepted.at(-1) ?? {}) : {}
        const redis = await bed.redis(stream)
        return id !== '' && (await redis.xrange(bed.key(stream), id, id)).length === 1 && { n }
      },
      { describe: 'publishing', timeoutMs },
    )
    const last = newest.n
    const ofPool = timesMs.pool.length
    await waitFor(() => lastOfBoard >= last, { describe: 'the consumer', timeoutMs })
    await waitFor(() => timesMs.pool.length > ofPool, { describe: 'the group', timeoutMs })
  }
  await flowing()

  return {
    load,
    flowing,
    silences: () => ({
      publish: Math.round(longestSilence(load.accepted.map(({ atMs }) => atMs))),
      consumer: Math.round(longestSilence(timesMs.board)),
      group: Math.round(longestSilence(timesMs.pool)),
    }),
    async account() {
      await load.stop()
      const stored = await bed.stored(stream)
      const there = new Set(stored.map(({ id }) => id))
      for (const name of ['board', 'pool']) {
        await waitFor(() => recorder.report(stored, { consumer: name }).lost === 0, {
          describe: `everything to reach ${name}`,
        })
      }
      return {
        stored,
        lostByRedis: load.accepted.filter(({ id }) => !there.has(id)).length,
        failures: load.failures,
        board: recorder.report(stored, { consumer: 'board' }),
        pool: recorder.report(stored, { consumer: 'pool' }),
      }
    },
  }
}
