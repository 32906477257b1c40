import { Redis } from 'ioredis'
import { afterEach, beforeEach, expect, test } from 'vitest'
import {
  type FaultProxy,
  type RedisServer,
  startFaultProxy,
  startRedis,
  waitFor,
} from '../../src/index.ts'

let server: RedisServer
let proxy: FaultProxy
let clients: Redis[]

beforeEach(async () => {
  server = await startRedis()
  proxy = await startFaultProxy(server)
  clients = []
})

afterEach(async () => {
  for (const redis of clients) redis.disconnect()
  await proxy[Symbol.asyncDispose]()
  await server[Symbol.asyncDispose]()
})

interface ClientOptions {
  readonly protocol?: 2 | 3
  readonly connectionName?: string
  readonly commandTimeout?: number
  readonly disconnectTimeout?: number
  readonly lazyConnect?: boolean
}

/** How a client without second tries speaks of a connection that was lost under a command. */
const LOST = /Connection is closed|ECONNRESET|max retries/i

/** A client without second tries, so that a test sees each failure as it is. */
function client(options: ClientOptions = {}): Redis {
  const redis = new Redis({
    host: proxy.host,
    port: proxy.port,
    retryStrategy: () => null,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    ...options,
  })
  redis.on('error', () => {})
  clients.push(redis)
  return redis
}

test.each([2, 3] as const)(
  'a healthy proxy changes nothing under RESP%i, large values and binary ones included',
  async (protocol) => {
    const redis = client({ protocol })
    const large = Buffer.alloc(3_000_000, 'mill\r\nrace')
    await redis.set('large', large)
    expect((await redis.getBuffer('large'))?.equals(large)).toBe(true)
    await redis.hset('hash', { a: 1, b: 2 })
    expect(await redis.hgetall('hash')).toEqual({ a: '1', b: '2' })
    const replies = await redis
      .pipeline(Array.from({ length: 500 }, (_, n) => ['incrby', 'sum', String(n)]))
      .exec()
    expect(replies?.length).toBe(500)
    expect(await redis.get('sum')).toBe('124750')
    expect(proxy.connections).toBe(1)
  },
)

test.each([2, 3] as const)('pub/sub passes through under RESP%i', async (protocol) => {
  const subscriber = client({ protocol })
  const received = Promise.withResolvers<string>()
  subscriber.on('message', (_channel: string, message: string) => received.resolve(message))
  await subscriber.subscribe('news', 'other')
  await server.client().publish('news', 'hello')
  expect(await received.promise).toBe('hello')
})

test('a dropped reply leaves the command executed and the caller without an answer', async () => {
  const redis = client()
  const dropped = proxy.dropNextReply(([name]) => name === 'xadd')
  await expect(redis.xadd('events', '*', 'n', '1')).rejects.toThrow(LOST)
  await dropped
  expect(await server.client().xlen('events')).toBe(1)
})

test.each([2, 3] as const)(
  'in a pipeline under RESP%i only the reply that matches is lost, and those before it arrive',
  async (protocol) => {
    const redis = client({ protocol })
    await redis.ping()
    const dropped = proxy.dropNextReply((command) => command[0] === 'set' && command[1] === 'c')
    const outcomes = await Promise.allSettled(
      ['a', 'b', 'c', 'd'].map((key) => redis.set(key, 'x')),
    )
    await dropped
    expect(outcomes.map((outcome) => outcome.status)).toEqual([
      'fulfilled',
      'fulfilled',
      'rejected',
      'rejected',
    ])
    expect(await server.client().exists('a', 'b', 'c')).toBe(3)
  },
)

test('a large reply that comes in many chunks is swallowed whole', async () => {
  await server.client().set('large', Buffer.alloc(2_000_000, 'x'))
  const redis = client()
  await redis.ping()
  const dropped = proxy.dropNextReply(([name]) => name === 'get')
  await expect(redis.get('large')).rejects.toThrow(LOST)
  await dropped
  expect(await client().strlen('large')).toBe(2_000_000)
})

test('the reply to a command that was waiting before the fault was armed can be lost', async () => {
  await server.client().xgroup('CREATE', 'events', 'group', '0', 'MKSTREAM')
  const redis = client()
  const reading = redis.xreadgroup('GROUP', 'group', 'reader', 'BLOCK', 0, 'STREAMS', 'events', '>')
  await waitFor(async () => (await server.client().info('clients')).includes('blocked_clients:1'), {
    describe: 'the blocked read',
  })
  const dropped = proxy.dropNextReply(([name]) => name === 'xreadgroup')
  await Promise.all([
    expect(reading).rejects.toThrow(LOST),
    server.client().xadd('events', '*', 'n', '1'),
    dropped,
  ])
  const [pending] = await server.client().xpending('events', 'group')
  expect(pending).toBe(1)
})

test('every n-th reply can be lost, over all connections', async () => {
  const warm = client()
  await warm.ping()
  proxy.dropEveryNthReply(3)
  const outcomes: string[] = []
  for (const name of ['a', 'b', 'c']) {
    outcomes.push(
      await warm.incr(name).then(
        () => 'answered',
        () => 'lost',
      ),
    )
  }
  expect(outcomes).toEqual(['answered', 'answered', 'lost'])
  proxy.dropEveryNthReply(0)
  expect(await client().mget('a', 'b', 'c')).toEqual(['1', '1', '1'])
})

test('a reply is cut after the bytes that were asked for', async () => {
  await server.client().set('key', 'value')
  const redis = client()
  await redis.ping()
  const cut = proxy.cutReplyAfter(6)
  await expect(redis.get('key')).rejects.toThrow(LOST)
  await cut
  expect(proxy.connections).toBe(0)
})

test('latency delays both directions and keeps the order', async () => {
  const redis = client()
  await redis.ping()
  proxy.latencyMs = 20
  proxy.jitterMs = 10
  const start = performance.now()
  const values = await Promise.all(Array.from({ length: 30 }, () => redis.incr('n')))
  // Timers may fire a fraction of a millisecond early.
  expect(performance.now() - start).toBeGreaterThanOrEqual(39)
  expect(values).toEqual(Array.from({ length: 30 }, (_, index) => index + 1))
})

test('a byte rate makes a large reply take its time', async () => {
  await server.client().set('large', 'x'.repeat(20_000))
  const redis = client()
  await redis.ping()
  proxy.bytesPerSecond = 100_000
  const start = performance.now()
  expect((await redis.get('large'))?.length).toBe(20_000)
  expect(performance.now() - start).toBeGreaterThanOrEqual(195)
})

test('a black hole towards the client executes the command and keeps its answer until the network heals', async () => {
  const redis = client()
  await redis.ping()
  proxy.blackhole('toClient')
  let answered = false
  const setting = redis.set('key', 'value').then(() => (answered = true))
  await waitFor(() => server.client().exists('key'), { describe: 'the command to be executed' })
  expect(answered).toBe(false)
  await proxy.heal()
  await expect(setting).resolves.toBe(true)
})

test('a black hole towards the server keeps the command until the network heals', async () => {
  const redis = client()
  await redis.ping()
  proxy.blackhole('toServer')
  const setting = redis.set('key', 'value')
  await expect(client({ commandTimeout: 50 }).ping()).rejects.toThrow('timed out')
  expect(await server.client().exists('key')).toBe(0)
  await proxy.heal()
  expect(await setting).toBe('OK')
})

test('the end of a client is not seen behind a black hole before the network heals', async () => {
  const redis = client({ connectionName: 'vanishing', disconnectTimeout: 20 })
  await redis.ping()
  proxy.blackhole('toServer')
  redis.disconnect()
  const listed = async (): Promise<boolean> => (await connectionNames()).includes('vanishing')
  await waitFor(() => redis.status === 'end', { describe: 'the client to have ended' })
  expect(await listed()).toBe(true)
  await proxy.heal()
  await waitFor(async () => !(await listed()), { describe: 'the server to see the end' })
})

test('refused connections are refused, and accepted again on the same port after healing', async () => {
  const before = client()
  await before.ping()
  await proxy.refuse()
  expect(await before.ping()).toBe('PONG')
  await expect(refusal()).resolves.toContain('ECONNREFUSED')
  await proxy.heal()
  expect(await client().ping()).toBe('PONG')
})

test('a reset ends every connection with an error, an orderly end without one', async () => {
  const reset = client()
  await reset.ping()
  const failure = new Promise<Error>((resolve) => reset.once('error', resolve))
  proxy.resetAll()
  expect(await failure).toMatchObject({ code: 'ECONNRESET' })

  const ended = client()
  await ended.ping()
  const errors: Error[] = []
  ended.on('error', (error) => errors.push(error))
  const end = new Promise<void>((resolve) => ended.once('end', () => resolve()))
  proxy.finAll()
  await end
  expect(errors).toEqual([])
  await waitFor(() => proxy.connections === 0, { describe: 'the proxied connections to close' })
})

test('connections that are just ending or connecting can be reset as well', async () => {
  const ending = client()
  await ending.ping()
  // Accepted in this turn of the event loop, so that the way to the server is not open yet.
  const accepted = proxy.accepted
  const connecting = client()
  await waitFor(() => proxy.accepted > accepted, { describe: 'the connection', everyMs: 0 })
  proxy.finAll()
  proxy.resetAll()
  proxy.resetAll()
  await waitFor(() => proxy.connections === 0, { describe: 'the proxied connections to close' })
  await expect(connecting.ping()).rejects.toThrow(LOST)
})

test('a client that ends is gone at the server as well', async () => {
  const redis = client({ connectionName: 'leaving' })
  await redis.ping()
  expect(await connectionNames()).toContain('leaving')
  redis.disconnect()
  await waitFor(async () => !(await connectionNames()).includes('leaving'), {
    describe: 'the connection to close',
  })
  await waitFor(() => proxy.connections === 0, { describe: 'the proxied connections to close' })
})

test('a server that dies resets its clients', async () => {
  const redis = client()
  await redis.ping()
  const end = new Promise<void>((resolve) => redis.once('end', () => resolve()))
  await server.kill('SIGKILL')
  await end
  await server.restart()
  expect(await client().ping()).toBe('PONG')
})

async function connectionNames(): Promise<readonly string[]> {
  const list = String(await server.client().client('LIST'))
  return Array.from(list.matchAll(/ name=(\S*)/g), (match) => match[1] ?? '')
}

async function refusal(): Promise<string> {
  const redis = client({ lazyConnect: true })
  const failed = new Promise<string>((resolve) =>
    redis.once('error', (error: Error) => resolve(String(error))),
  )
  await redis.connect().catch(() => {})
  return failed
}
