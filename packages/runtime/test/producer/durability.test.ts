import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  type FaultProxy,
  type RedisServer,
  startFaultProxy,
  startRedis,
  waitFor,
} from '@millrace/testkit'
import {
  channels,
  connect,
  defineStream,
  type Millrace,
  type DurabilityOptions,
  type Producer,
  type ProducerOptions,
} from '../../src/index.ts'
import { matrix } from '../conformance/servers.ts'
import { range, type Reading } from '../open-millrace.ts'

const stream = defineStream<Reading>('readings')
const KEY = 'mr:{readings}readings'

let stack: AsyncDisposableStack
let primary: RedisServer
let replica: RedisServer
/** Between the replica and its primary. */
let replication: FaultProxy
/** Between the producer and whoever is the primary. */
let entrance: FaultProxy
let leading: { readonly host: string; port: number }
let millrace: Millrace

beforeEach(async () => {
  stack = new AsyncDisposableStack()
  primary = stack.use(await startRedis({ persistence: true }))
  replication = stack.use(await startFaultProxy(primary))
  replica = stack.use(
    await startRedis({ args: ['--replicaof', replication.host, String(replication.port)] }),
  )
  await waitFor(
    async () =>
      String(await replica.client().info('replication')).includes('master_link_status:up'),
    {
      describe: 'the replica',
    },
  )
  leading = { host: primary.host, port: primary.port }
  entrance = stack.use(await startFaultProxy(leading))
  millrace = await connect(entrance.url)
  stack.defer(() => millrace.close({ deadlineMs: 500 }))
})
afterEach(() => stack.disposeAsync())

function producer(durability: DurabilityOptions): Producer<Reading> {
  return millrace.producer(stream, { durability, deadlineMs: 25_000 })
}

async function stored(server: RedisServer): Promise<number[]> {
  const entries = await server.client().xrange(KEY, '-', '+')
  return entries.map(([, [, data]]) => (JSON.parse(data ?? '') as Reading).n)
}

/** So patient that a busy machine breaks nothing. */
const ONE = { replicas: 1, timeoutMs: 25_000 } as const

describe('A producer with durability', () => {
  it('answers once a replica has the event, over a connection of its own', async () => {
    const durable = producer(ONE)
    for (const n of range(50)) {
      await durable.publish({ n })
      // Whoever was answered is there already.
      expect((await stored(replica)).at(-1)).toBe(n)
    }
    await durable.publishMany(range(1_500, 50).map((n) => ({ n })))
    expect(await stored(replica)).toEqual(range(1_550))
    expect(millrace.connections).toMatchObject({ data: 1, durable: 1 })
    await durable.close()
    expect(millrace.connections).toMatchObject({ data: 1, durable: 0 })
  })

  it('does not answer before, and keeps nobody else waiting meanwhile', async () => {
    const durable = producer(ONE)
    await durable.publish({ n: 0 })
    replication.blackhole('both')
    const answers: number[] = []
    const calls = range(40, 1).map(async (n) => {
      await durable.publish({ n })
      answers.push(n)
    })
    await waitFor(async () => (await stored(primary)).length === 41, { describe: 'the events' })
    // Others share the data connection, which does not wait.
    for (const n of range(20, 100)) await millrace.publish(stream, { n })
    expect(answers).toEqual([])
    await replication.heal()
    await Promise.all(calls)
    expect(answers).toEqual(range(40, 1))
    expect(await stored(replica)).toEqual([...range(41), ...range(20, 100)])
  })

  it('says NOT_DURABLE when that takes too long: the event is in the stream', async () => {
    await producer(ONE).publish({ n: 0 })
    const durable = producer({ replicas: 1, timeoutMs: 300 })
    const failed: string[] = []
    const off = channels.publishFailed.subscribe(({ error }) => failed.push(String(error)))
    replication.blackhole('both')
    const one = durable.publish({ n: 1 })
    const many = durable.publishMany(range(600, 2).map((n) => ({ n })))
    await expect(one).rejects.toMatchObject({ code: 'NOT_DURABLE', retryable: false })
    await expect(many).rejects.toMatchObject({ code: 'NOT_DURABLE' })
    off()
    expect(failed.length).toBeGreaterThan(0)
    expect(await stored(primary)).toEqual(range(602))
    await replication.heal()
    await producer(ONE).publish({ n: 602 })
    expect(await stored(replica)).toEqual(range(603))
  })

  it('asks for more than one replica if it is told so', async () => {
    await expect(producer({ replicas: 2, timeoutMs: 200 }).publish({ n: 0 })).rejects.toMatchObject(
      {
        code: 'NOT_DURABLE',
        message: expect.stringContaining('2 replicas within 200 ms (1 replicas)'),
      },
    )
    expect(await stored(primary)).toEqual([0])
  })

  it('loses nothing that it answered at a failover, and sends what was forgotten again, in order', async () => {
    const durable = producer(ONE)
    const answered: number[] = []
    const publish = async (n: number): Promise<void> => {
      await durable.publish({ n })
      answered.push(n)
    }
    await Promise.all(range(100).map(publish))
    replication.blackhole('toClient')
    // The primary has these, and the replica never will.
    const forgotten = Promise.all(range(100, 100).map(publish))
    await waitFor(async () => (await stored(primary)).length === 200, { describe: 'the events' })
    expect(answered).toEqual(range(100))
    await primary.kill('SIGKILL')
    await replica.client().replicaof('NO', 'ONE')
    await using another = await startRedis({
      args: ['--replicaof', replica.host, String(replica.port)],
    })
    leading.port = replica.port
    entrance.resetAll()
    await forgotten
    await publish(200)
    expect(answered).toEqual(range(201))
    expect(await stored(replica)).toEqual(range(201))
    expect(await stored(another)).toEqual(range(201))
  })

  it('waits for the new primary while it is connected to what has become a replica', async () => {
    const durable = producer(ONE)
    await durable.publish({ n: 0 })
    await replica.client().replicaof('NO', 'ONE')
    await primary.client().replicaof(replica.host, String(replica.port))
    await primary.client().config('RESETSTAT')
    entrance.resetAll()
    const calls = Promise.all(range(20, 1).map((n) => durable.publish({ n })))
    // What it says to a write, and to WAIT.
    const denied = async (): Promise<boolean> =>
      /errorstat_(?:READONLY|ERR):count=[1-9]/.test(
        String(await primary.client().info('errorstats')),
      )
    await waitFor(denied, { describe: 'the old primary to refuse' })
    leading.port = replica.port
    entrance.finAll()
    await calls
    expect(await stored(replica)).toEqual(range(21))
    expect(await stored(primary)).toEqual(range(21))
  })

  it('stores each event once while answers are lost', async () => {
    const durable = producer(ONE)
    await durable.publish({ n: 0 })
    entrance.dropEveryNthReply(20)
    await Promise.all(
      range(300, 1).map(async (n) => {
        await new Promise(setImmediate)
        await durable.publish({ n })
      }),
    )
    await entrance.heal()
    expect(await stored(replica)).toEqual(range(301))
  })

  it('gives up at the deadline of the call, with PUBLISH_UNKNOWN', async () => {
    const durable = producer(ONE)
    await durable.publish({ n: 0 })
    replication.blackhole('both')
    await expect(durable.publish({ n: 1 }, { deadlineMs: 200 })).rejects.toMatchObject({
      code: 'PUBLISH_UNKNOWN',
    })
    await expect(durable.close({ deadlineMs: 100 })).resolves.toBeUndefined()
  })

  it('says what a server lacks before anything is stored', async () => {
    const onDisk = producer({ aof: true })
    const answer = await onDisk.publish({ n: 0 }).catch((error: unknown) => error)
    const version = Number.parseFloat(primary.binary.version)
    if (version >= 7.2) {
      expect(answer).toMatchObject({ stored: 'stream' })
    } else {
      expect(answer).toMatchObject({ code: 'SERVER_UNSUPPORTED' })
      expect(await primary.client().exists(KEY)).toBe(0)
    }
  })

  it('refuses what makes no sense, all at once', () => {
    const wrong = { replicas: 0, timeoutMs: 0, disks: 1 }
    expect(() =>
      millrace.producer(stream, {
        durability: wrong,
        whenUnavailable: 'spool',
        producerId: 'p',
        spool: { directory: '/nowhere' },
      } as ProducerOptions),
    ).toThrow(
      expect.objectContaining({
        code: 'OPTIONS_INVALID',
        issues: [
          expect.stringContaining('durability.timeoutMs must be'),
          expect.stringContaining('durability.disks is not an option'),
          'durability.replicas must be at least 1 without durability.aof',
          "durability does not go with whenUnavailable: 'spool'",
        ],
      }),
    )
  })
})

const newest = matrix.find(({ arrangement, title, binary }) => {
  return arrangement === 'standalone' && binary !== undefined && !title.includes('7.0')
})

describe.skipIf(newest === undefined)(
  'A producer with durability on disk, on a newer server',
  () => {
    const binary = newest?.binary
    const onDisk = ['--appendonly', 'yes', '--appendfsync', 'everysec']

    async function linked(server: RedisServer): Promise<void> {
      await waitFor(
        async () =>
          String(await server.client().info('replication')).includes('master_link_status:up'),
        { describe: 'the replica' },
      )
    }

    it('answers once the event was flushed, and with replicas once they have done so, too', async () => {
      await using first = await startRedis({ binary, args: onDisk })
      await using second = await startRedis({
        binary,
        args: [...onDisk, '--replicaof', first.host, String(first.port)],
      })
      await linked(second)
      await using connected = await connect(first.url)
      const alone = connected.producer(stream, { durability: { aof: true } })
      await Promise.all(range(100).map((n) => alone.publish({ n })))
      const both = connected.producer(stream, { durability: { aof: true, replicas: 1 } })
      await both.publish({ n: 100 })
      expect(await stored(second)).toEqual(range(101))
    })

    it('says NOT_DURABLE where a replica keeps nothing on disk', async () => {
      await using first = await startRedis({ binary, args: onDisk })
      await using second = await startRedis({
        binary,
        args: ['--replicaof', first.host, String(first.port)],
      })
      await linked(second)
      await using connected = await connect(first.url)
      const both = connected.producer(stream, {
        durability: { aof: true, replicas: 1, timeoutMs: 500 },
      })
      await expect(both.publish({ n: 0 })).rejects.toMatchObject({ code: 'NOT_DURABLE' })
      expect(await stored(first)).toEqual([0])
    })

    it('says before anything is stored that the server keeps no such file', async () => {
      await using first = await startRedis({ binary })
      await using connected = await connect(first.url)
      const alone = connected.producer(stream, { durability: { aof: true } })
      await expect(alone.publish({ n: 0 })).rejects.toMatchObject({ code: 'SERVER_UNSUPPORTED' })
      expect(await first.client().exists(KEY)).toBe(0)
    })
  },
)
