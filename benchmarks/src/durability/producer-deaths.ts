import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ProducerOptions } from '@millrace/runtime'
import { startRedis, waitFor } from '@millrace/testkit'
import { startProgram } from '../harness/program-process.ts'
import type { Figures } from '../harness/samples.ts'
import { temporaryFolder } from '../harness/temporary-folder.ts'
import { readJournal } from '../load/journal.ts'
import { storedAt } from './numbered-stream.ts'
import { CALLS_UNDER_WAY, type DurabilityProgram, type PublishTask } from './program.ts'

/** A producer whose process is killed while it publishes, and the one that comes after it. */
export interface ProducerDeath {
  readonly name: string
  readonly spools: boolean
  /** Whether Redis has been killed before the producer is, and is started again afterwards. */
  readonly redisIsAway: boolean
}

export const producerDeaths: readonly ProducerDeath[] = [
  { name: 'wait_redis_there', spools: false, redisIsAway: false },
  { name: 'wait_redis_away', spools: false, redisIsAway: true },
  { name: 'spool_redis_there', spools: true, redisIsAway: false },
  { name: 'spool_redis_away', spools: true, redisIsAway: true },
]

/** Soon, so that events go to disk while Redis is away. */
const SPOOL_AFTER_MS = 40
/** What comes afterwards sends what is on disk, and does not spool beside it. */
const FOLLOWER_SPOOL_AFTER_MS = 20_000
/** So much is answered before anything dies, and so long it goes on afterwards. */
const ANSWERED_FIRST = 1_000
const LOAD_MS = 300

const publisherFile = new URL('publish.ts', import.meta.url)

export async function measureProducerDeath(death: ProducerDeath): Promise<Figures> {
  await using folder = await temporaryFolder('durability')
  await using redis = await startRedis({ persistence: true })
  const place = { url: redis.url, prefix: 'bench:' }
  const journal = join(folder.path, 'answers')
  const task = (spoolAfterMs: number): PublishTask => {
    return { place, producer: producerOf(death, folder.path, spoolAfterMs) }
  }
  await using producer = startProgram<DurabilityProgram>(publisherFile)
  await producer.ask('begin', { ...task(SPOOL_AFTER_MS), journal })
  await waitFor(async () => (await readJournal(journal)).length >= ANSWERED_FIRST, {
    describe: `${ANSWERED_FIRST} answers`,
  })
  if (death.redisIsAway) await redis.kill('SIGKILL')
  await sleep(LOAD_MS)
  await producer.kill('SIGKILL')
  if (death.redisIsAway) await redis.restart()
  await using follower = startProgram<DurabilityProgram>(publisherFile)
  await follower.ask('follow', task(FOLLOWER_SPOOL_AFTER_MS))
  return accountFor(await readJournal(journal), await storedAt(place))
}

function producerOf({ spools }: ProducerDeath, folder: string, afterMs: number): ProducerOptions {
  return spools
    ? {
        producerId: 'tower',
        whenUnavailable: 'spool',
        spool: { directory: join(folder, 'spool'), afterMs },
      }
    : { producerId: 'tower', whenUnavailable: 'wait' }
}

function accountFor(answers: ArrayLike<number>, stored: ReadonlySet<number>): Figures {
  const answered = new Set(Array.from(answers))
  const lost = [...answered].filter((n) => !stored.has(n)).length
  const storedWithoutAnswer = [...stored].filter((n) => n >= 0 && !answered.has(n)).length
  return {
    // Of every call under way another one begins at its answer, so this many had none in the end.
    calls: answered.size + CALLS_UNDER_WAY,
    answered: answered.size,
    lost,
    goneWithoutAnswer: CALLS_UNDER_WAY - storedWithoutAnswer,
  }
}
