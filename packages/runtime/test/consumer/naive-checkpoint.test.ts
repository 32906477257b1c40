import { setTimeout as delay } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { describe, expect, it } from 'vitest'
import { startFaultProxy, startRedis, waitFor } from '@millrace/testkit'
import { resolveConnectOptions } from '../../src/connection/options.ts'
import { checkpoint } from '../../src/consumer/checkpoint-script.ts'
import { inRanges, parseRanges } from '../../src/consumer/ranges.ts'
import { createCore } from '../../src/core.ts'
import { channels } from '../../src/diagnostics.ts'
import { compareIds } from '../../src/stream/stream-id.ts'
import { useRedis } from '../open-millrace.ts'

// The checkpoints that one would write first, beside ours, on the same server in the same state: they
// lose an event without a word, which is what the conditions of ours are there for.

const bed = useRedis()

/** What a holder asks to be stored. */
interface Wish {
  readonly to: string
  readonly ranges: string
}

/** Stores what its own conditions allow; a name of the state hash tells the scripts apart. */
type Store = (stream: string, state: string, name: string, wish: Wish) => Promise<unknown>

const STORE_LUA = `
  if ARGV[3] ~= '' then
    redis.call('HSET', KEYS[2], 'position', ARGV[3])
    redis.pcall('XGROUP', 'SETID', KEYS[1], ARGV[2], ARGV[3])
  end
  redis.call('HSET', KEYS[2], 'ranges', ARGV[4])
  return 'OK'`

const IS_HOLDER_LUA = `if redis.call('HGET', KEYS[2], 'token') ~= ARGV[1] then return 'LOST' end`

const NOT_BEYOND_LUA = `
  local info = redis.call('XINFO', 'STREAM', KEYS[1])
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then
      local function ms(id) return tonumber(id:match('^%d+')) end
      if ARGV[3] ~= '' and ms(ARGV[3]) > ms(info[i + 1]) then return 'REWIND' end
    end
  end`

const IS_THERE_LUA = `
  if ARGV[3] ~= '' and #redis.call('XRANGE', KEYS[1], ARGV[3], ARGV[3]) == 0 then return 'REWIND' end`

function naive(...conditions: readonly string[]): Store {
  const script = [...conditions, STORE_LUA].join('\n')
  return (stream, state, name, { to, ranges }) =>
    bed.redis.eval(script, 2, stream, state, '1-token', name, to, ranges)
}

const naiveStores: Readonly<Record<string, Store>> = {
  'whoever holds the token': naive(IS_HOLDER_LUA),
  'and nothing beyond the last id': naive(IS_HOLDER_LUA, NOT_BEYOND_LUA),
  'and only where the entry is there': naive(IS_HOLDER_LUA, IS_THERE_LUA),
}

/** What Redis has after a failover to a replica that lacked 3-0 to 5-0, and what the holder wants stored. */
interface Situation {
  readonly title: string
  readonly wish: Wish
  /** Ids that the new primary has given since. */
  readonly since: readonly string[]
  /** Ids that it gives after the checkpoint. */
  readonly after: readonly string[]
  /** What is lost, by the conditions of the naive script. */
  readonly lost: Readonly<Record<keyof typeof naiveStores, readonly string[]>>
}

const situations: readonly Situation[] = [
  {
    title: 'a checkpoint that would pass an event which nobody has read',
    wish: { to: '5-0', ranges: '' },
    since: ['4-5', '6-0'],
    after: [],
    lost: {
      'whoever holds the token': ['4-5'],
      'and nothing beyond the last id': ['4-5'],
      'and only where the entry is there': [],
    },
  },
  {
    title: 'ids that went back at a failover',
    wish: { to: '5-0', ranges: '' },
    since: [],
    after: ['3-1', '4-1'],
    lost: {
      'whoever holds the token': ['3-1', '4-1'],
      'and nothing beyond the last id': [],
      'and only where the entry is there': [],
    },
  },
  {
    title: 'a range above the position that would hide an event which nobody has read',
    wish: { to: '', ranges: '2-0>5-0' },
    since: ['4-5', '6-0'],
    after: [],
    lost: {
      'whoever holds the token': ['4-5'],
      'and nothing beyond the last id': ['4-5'],
      'and only where the entry is there': ['4-5'],
    },
  },
]

describe.each(situations)('$title', ({ wish, since, after, lost }) => {
  /** Plays the situation with one script, and answers which events nobody will ever read. */
  async function unreadable(store: Store | undefined): Promise<readonly string[]> {
    const core = createCore(resolveConnectOptions(bed.server.url, {}))
    bed.onClose(() => {
      core.connections.close()
    })
    const stream = bed.stream()
    const keys = core.keysOf(stream)
    const state = keys.state('board')
    const add = (id: string): Promise<unknown> => bed.redis.xadd(keys.stream, id, 'data', '{"n":1}')
    for (const id of ['1-0', '2-0', ...since]) await add(id)
    await bed.redis.xgroup('CREATE', keys.stream, 'board', '1-0')
    await bed.redis.hset(keys.meta, 'incarnation', 'i')
    const stored = { kind: 'consumer', token: '1-token', incarnation: 'i', position: '1-0' }
    await bed.redis.hset(state, stored)
    if (store === undefined) {
      const session = await core.connections.session('control', keys.tag)
      const request = {
        name: 'board',
        token: '1-token',
        incarnation: 'i',
        from: '1-0',
        to: wish.to,
      }
      const [answer] = await checkpoint(session, keys, [
        {
          ...request,
          // The holder has processed 1-0 to 5-0 and says so: this is no reason to pass what it has not.
          named: ['2-0', '3-0', '4-0', '5-0'],
          index: undefined,
          ranges: wish.ranges,
          attempts: undefined,
          release: false,
          toldGap: '',
        },
      ])
      expect(answer?.outcome).toBe('rewind')
    } else {
      await store(keys.stream, state, 'board', wish)
    }
    for (const id of after) await add(id)
    // What the next holder of the name skips, although nobody has handled it.
    const { position = '', ranges = '' } = await bed.redis.hgetall(state)
    const done = parseRanges(ranges)
    const unread = (await bed.redis.xrange(keys.stream, '-', '+'))
      .map(([id]) => id)
      .filter((id) => id !== '1-0' && id !== '2-0')
    return unread.filter((id) => compareIds(id, position) <= 0 || inRanges(done, id))
  }

  it.each(Object.keys(naiveStores))(
    'costs events where a checkpoint is stored for %s',
    async (conditions) => {
      expect(await unreadable(naiveStores[conditions])).toEqual(lost[conditions])
    },
  )

  it('costs nothing with the conditions of ours', async () => {
    expect(await unreadable(undefined)).toEqual([])
  })
})

/** A consumer as one would write it first: reads on from memory, and stores what it has handled. */
class NaiveConsumer {
  readonly handled: string[] = []
  readonly #address: { readonly host: string; readonly port: number }
  readonly #stream: string
  readonly #state: string
  #ended = false
  #cursor = '0-0'
  readonly #running: Promise<void>

  constructor(address: { readonly host: string; readonly port: number }, stream: string) {
    this.#address = address
    this.#stream = stream
    this.#state = `${stream}:state:naive`
    this.#running = this.#run()
  }

  async close(): Promise<void> {
    this.#ended = true
    await this.#running
  }

  async #run(): Promise<void> {
    while (!this.#ended) {
      const redis = new Redis({
        ...this.#address,
        lazyConnect: true,
        retryStrategy: () => null,
        maxRetriesPerRequest: 0,
        replyMapping: 'legacy',
      })
      redis.on('error', () => undefined)
      try {
        await redis.connect()
        await redis.hsetnx(this.#state, 'token', '1-token')
        while (!this.#ended) await this.#readOn(redis)
      } catch {
        // As anybody would: connect again, and go on.
        await delay(10)
      } finally {
        redis.disconnect()
      }
    }
  }

  async #readOn(redis: Redis): Promise<void> {
    const reply = await redis.xread('BLOCK', 100, 'STREAMS', this.#stream, this.#cursor)
    for (const [, entries] of reply ?? []) {
      for (const [id] of entries) {
        this.handled.push(id)
        this.#cursor = id
      }
    }
    const script = `${IS_HOLDER_LUA}\n${STORE_LUA}`
    await redis.eval(script, 2, this.#stream, this.#state, '1-token', 'naive', this.#cursor, '')
  }
}

describe('A failover to a replica that lacks events', () => {
  it('makes a naive consumer skip an event that it never read, and ours read it', async () => {
    await using primary = await startRedis()
    // Replication goes through a proxy, so that the replica can fall behind.
    await using replication = await startFaultProxy(primary)
    await using replica = await startRedis({
      args: ['--replicaof', replication.host, String(replication.port)],
    })
    // Clients go through another one, which leads to whoever is the primary.
    const leading = { host: primary.host, port: primary.port }
    await using entrance = await startFaultProxy(leading)
    const stream = bed.stream()
    const key = bed.key(stream)
    const add = (server: { client(): Redis }, ...ids: string[]): Promise<unknown> =>
      Promise.all(ids.map((id) => server.client().xadd(key, id, 'data', '{"n":1}')))
    const isCopied = async (id: string): Promise<boolean> =>
      (await replica.client().xrange(key, id, id)).length > 0

    const plain = new NaiveConsumer(entrance, key)
    bed.onClose(() => plain.close())
    const millrace = await bed.open({}, entrance.url)
    const handled: string[] = []
    const positions = bed.gather(channels.positionChanged)
    const consumer = millrace
      .consumer(stream, { name: 'ours', leaseMs: 60_000, checkpointEvery: 100_000 })
      .start(({ id }) => void handled.push(id))
    await consumer.ready
    await add(primary, '1-0', '2-0')
    await waitFor(() => handled.length === 2 && plain.handled.length === 2, {
      describe: 'the first events',
    })
    await waitFor(() => isCopied('2-0'), { describe: 'the replica to have them' })

    replication.blackhole('toClient')
    await add(primary, '3-0', '4-0', '5-0')
    await waitFor(() => handled.length === 5 && plain.handled.length === 5, {
      describe: 'what the replica will never have',
    })
    await primary.kill('SIGKILL')
    await replica.client().replicaof('NO', 'ONE')
    expect(await isCopied('3-0')).toBe(false)
    // Somebody publishes to the new primary before the consumers have found it.
    await add(replica, '4-5', '6-0')
    leading.port = replica.port
    entrance.resetAll()

    await waitFor(() => plain.handled.includes('6-0') && handled.includes('6-0'), {
      describe: 'the last event',
    })
    const stored = (name: string): Promise<string | null> =>
      replica.client().hget(`${key}:state:${name}`, 'position')
    await waitFor(async () => (await stored('naive')) === '6-0', { describe: 'its checkpoint' })
    expect(plain.handled).toEqual(['1-0', '2-0', '3-0', '4-0', '5-0', '6-0'])

    expect(handled).toContain('4-5')
    expect(handled.filter((id) => compareIds(id, '4-0') > 0)).toEqual(['5-0', '4-5', '6-0'])
    expect(positions.map(({ change }) => change)).toContain('rewound')
    await consumer.close()
    expect(await stored('ours')).toBe('6-0')
  })
})
