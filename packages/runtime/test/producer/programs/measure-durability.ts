import { once } from 'node:events'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type RedisServer, startFaultProxy, startRedis, waitFor } from '@millrace/testkit'
import type { DurabilityOptions } from '../../../src/index.ts'
import { Producer } from '../../../src/producer/producer.ts'
import { entriesOf, openRig, payloadsOf } from '../rig.ts'
import { KEY, spoolDirectory, stream } from '../spool/spool-rig.ts'
import { publisher } from './kills.ts'

/**
 * Measures what is lost of events that Redis had confirmed, or that `publish` had answered, and prints
 * it as tables; `docs/durability.md` says what to expect:
 * `node --conditions=millrace-source packages/runtime/test/producer/programs/measure-durability.ts 10`
 */
const rounds = Number(process.argv[2] ?? 10)
/** How many calls of `publish` are under way at any time. */
const WIDTH = 64

interface Loss {
  readonly confirmed: number
  readonly lost: number
  readonly seconds: number
}

const persistence: readonly [name: string, args: readonly string[]][] = [
  ['no persistence', []],
  ['RDB, a snapshot each second', ['--save', '1 1']],
  ['AOF, `appendfsync everysec`', ['--appendonly', 'yes', '--appendfsync', 'everysec']],
  ['AOF, `appendfsync always`', ['--appendonly', 'yes', '--appendfsync', 'always']],
]
console.log(
  '| setting | confirmed/s | lost of confirmed, in all rounds | rounds with loss | most in a round |',
)
console.log('| --- | --- | --- | --- | --- |')
for (const [name, args] of persistence) {
  await row(name, async () => {
    await using redis = await startRedis({ args })
    const load = publish(redis.url)
    await sleep(2_500 + Math.random() * 1_000)
    await redis.kill('SIGKILL')
    const { confirmed, seconds } = await load.stop()
    await redis.restart()
    return { confirmed: confirmed.size, lost: await missing(redis, confirmed), seconds }
  })
}
const replicated: readonly [
  name: string,
  args: readonly string[],
  durability: DurabilityOptions | undefined,
][] = [
  ['a replica 20 ms away, promoted', [], undefined],
  [
    'the same, `min-replicas-to-write 1`',
    ['--min-replicas-to-write', '1', '--min-replicas-max-lag', '1'],
    undefined,
  ],
  ['the same, `durability: { replicas: 1 }`', [], { replicas: 1, timeoutMs: 60_000 }],
]
for (const [name, args, durability] of replicated)
  await row(name, () => promoteReplica(args, durability))

console.log(
  '\n| producer | Redis | calls | answered | lost of answered | calls without an answer, not in the stream |',
)
console.log('| --- | --- | --- | --- | --- | --- |')
for (const [name, afterMs] of [
  ['`wait`', undefined],
  ['`spool`', 40],
] as const) {
  for (const away of [false, true]) await killedProducer(name, afterMs, away)
}

async function row(name: string, measure: () => Promise<Loss>): Promise<void> {
  const losses: Loss[] = []
  for (let round = 0; round < rounds; round++) losses.push(await measure())
  const sum = (of: (loss: Loss) => number): number =>
    losses.reduce((all, loss) => all + of(loss), 0)
  const rate = Math.round(sum((loss) => loss.confirmed) / sum((loss) => loss.seconds))
  const lost = sum((loss) => loss.lost)
  const most = Math.max(...losses.map((loss) => loss.lost))
  const bad = losses.filter((loss) => loss.lost > 0).length
  console.log(
    `| ${name} | ${rate} | ${lost} of ${sum((loss) => loss.confirmed)} | ${bad} of ${rounds} | ${most} |`,
  )
}

/** Publishes as fast as answers come, and remembers what was confirmed. */
function publish(
  url: string,
  durability?: DurabilityOptions,
): { stop(): Promise<{ confirmed: Set<number>; seconds: number }> } {
  const rig = openRig(url, 60_000)
  const producer = new Producer<{ n: number }>(
    rig.core,
    stream,
    durability === undefined ? {} : { durability },
  )
  const confirmed = new Set<number>()
  const startedMs = performance.now()
  let lastMs = startedMs
  let next = 0
  const stopped = new AbortController()
  const turn = async (): Promise<void> => {
    while (!stopped.signal.aborted) {
      const n = next++
      try {
        await producer.publish({ n }, { signal: stopped.signal })
      } catch {
        return
      }
      confirmed.add(n)
      lastMs = performance.now()
    }
  }
  const turns = Array.from({ length: WIDTH }, turn)
  return {
    async stop() {
      // What Redis had answered until it was killed has arrived when the connection has ended.
      await waitFor(() => rig.core.connections.current('data', 'flights') === undefined, {
        describe: 'the end of the connection',
      })
      stopped.abort()
      await Promise.all(turns)
      await producer.close({ deadlineMs: 0 })
      rig[Symbol.dispose]()
      return { confirmed, seconds: (lastMs - startedMs) / 1_000 }
    },
  }
}

async function missing(redis: RedisServer, confirmed: ReadonlySet<number>): Promise<number> {
  const there = new Set(
    (await entriesOf(redis.client(), KEY)).map(({ fields }) => {
      const { n } = JSON.parse(fields['data'] ?? '{}') as { n?: number }
      return n
    }),
  )
  return [...confirmed].filter((n) => !there.has(n)).length
}

/** The primary is killed and its replica, whose link has a delay, takes over. */
async function promoteReplica(
  args: readonly string[],
  durability: DurabilityOptions | undefined,
): Promise<Loss> {
  await using primary = await startRedis({ args })
  await using link = await startFaultProxy(primary)
  const { hostname, port } = new URL(link.url)
  await using replica = await startRedis({ args: ['--replicaof', hostname, port] })
  const admin = replica.client()
  const isLinked = async (): Promise<boolean> =>
    (await admin.info('replication')).includes('master_link_status:up')
  await waitFor(isLinked, { describe: 'the replica to be linked' })
  await waitFor(async () => (await primary.client().info('replication')).includes('state=online'), {
    describe: 'the replica to be online',
  })
  link.latencyMs = 20
  const load = publish(primary.url, durability)
  await sleep(1_000 + Math.random() * 500)
  await primary.kill('SIGKILL')
  const { confirmed, seconds } = await load.stop()
  link.resetAll()
  await admin.replicaof('NO', 'ONE')
  return { confirmed: confirmed.size, lost: await missing(replica, confirmed), seconds }
}

/** The producer is killed, and the next one publishes a single event. */
async function killedProducer(
  name: string,
  afterMs: number | undefined,
  away: boolean,
): Promise<void> {
  let calls = 0
  let answered = 0
  let lost = 0
  let gone = 0
  for (let round = 0; round < rounds; round++) {
    await using redis = await startRedis({ persistence: true })
    using directory = spoolDirectory()
    const answers = join(directory.path, 'answers')
    writeFileSync(answers, '')
    const plan = { url: redis.url, directory: directory.path, answers, afterMs }
    const child = publisher({ ...plan, turn: 0, events: undefined })
    const exited = once(child, 'exit')
    await waitFor(() => statSync(answers).size > 0, { describe: 'the first answer' })
    if (away) await redis.kill('SIGKILL')
    await sleep(300)
    child.kill('SIGKILL')
    await exited
    if (away) await redis.restart()
    const next = publisher({ ...plan, turn: 1, events: 1, afterMs: afterMs && 20_000 })
    await once(next, 'exit')
    const payloads = (await payloadsOf(redis.client(), KEY)) as { turn: number; n: number }[]
    const there = new Set(payloads.filter(({ turn }) => turn === 0).map(({ n }) => n))
    const lines = readFileSync(answers, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => line.split(' '))
    const numbers = lines.filter(([turn]) => turn === '0').map(([, n]) => Number(n))
    // Calls are numbered, and so many are under way beyond the last answer of each turn.
    const called = numbers.length + WIDTH
    calls += called
    answered += numbers.length
    lost += numbers.filter((n) => !there.has(n)).length
    gone += called - numbers.length - [...there].filter((n) => !numbers.includes(n)).length
  }
  console.log(
    `| ${name} | ${away ? 'away' : 'there'} | ${calls} | ${answered} | ${lost} | ${gone} |`,
  )
}
