import { once } from 'node:events'
import { startRedis } from '@millrace/testkit'
import { Redis } from 'ioredis'
import { afterAll, describe, expect, it } from 'vitest'
import { troubleOf } from '../../src/connection/redis-errors.ts'
import { StreamReads } from '../../src/connection/stream-reads.ts'

const server = await startRedis()
afterAll(() => server[Symbol.asyncDispose]())

/** A connection, and its reads. */
async function connected(
  protocol: 2 | 3,
  patienceMs?: number,
): Promise<{
  readonly client: Redis
  readonly reads: StreamReads
  readonly ended: AbortController
  [Symbol.dispose](): void
}> {
  const client = new Redis(server.url, { protocol, lazyConnect: true, retryStrategy: () => null })
  client.on('error', () => undefined)
  await client.connect()
  await client.ping()
  const ended = new AbortController()
  client.on('end', () => {
    ended.abort()
  })
  const reads = new StreamReads(client, ended.signal, patienceMs)
  return { client, reads, ended, [Symbol.dispose]: () => client.disconnect() }
}

let keys = 0
const newKey = (): string => `reads-${++keys}`

describe.each([2, 3] as const)('Reads of streams with RESP%i', (protocol) => {
  it('answer the entries of all streams, and leave what follows to the client', async () => {
    using one = await connected(protocol)
    const [first, second, third] = [newKey(), newKey(), newKey()]
    await one.client.xadd(first, '1-1', 'data', 'plain', 'h:who', 'größe')
    await one.client.xadd(first, '1-2', 'data', 'x'.repeat(300_000))
    await one.client.xadd(third, '2-1', 'data', '')
    const args = ['COUNT', 10, 'STREAMS', first, second, third, '0', '0', '0']
    const expected = [
      [
        first,
        [
          ['1-1', ['data', 'plain', 'h:who', 'größe']],
          ['1-2', ['data', 'x'.repeat(300_000)]],
        ],
      ],
      [third, [['2-1', ['data', '']]]],
    ]
    expect(await one.reads.read(false, 'xread', args)).toEqual(expected)
    const bytes = await one.reads.read(true, 'xread', args)
    expect(bytes?.[0]?.[1][0]).toEqual([
      '1-1',
      ['data', 'plain', 'h:who', 'größe'].map((text) => Buffer.from(text)),
    ])
    const last = one.reads.read(false, 'xread', args)
    const pong = one.client.ping()
    expect(await last).toEqual(expected)
    expect(await pong).toBe('PONG')
  })

  it('answer nothing when nothing came in time, or when they were unblocked', async () => {
    using one = await connected(protocol)
    using other = await connected(protocol)
    const key = newKey()
    const read = (blockMs: number): Promise<unknown> =>
      one.reads.read(false, 'xread', ['BLOCK', blockMs, 'STREAMS', key, '$'])
    expect(await read(1)).toBeUndefined()
    const id = await one.client.client('ID')
    const blocked = read(0)
    while ((await other.client.client('UNBLOCK', id)) === 0) await other.client.ping()
    expect(await blocked).toBeUndefined()
    await one.client.xadd(key, '5-1', 'data', 'later')
    const args = ['STREAMS', key, '0']
    expect(await one.reads.read(false, 'xread', args)).toEqual([
      [key, [['5-1', ['data', 'later']]]],
    ])
  })

  it('are put off at the server, with what came meanwhile in one reply', async () => {
    using one = await connected(protocol)
    using other = await connected(protocol)
    const key = newKey()
    const delay = { ms: 30_000, emptyKey: `${key}:empty` }
    const id = await one.client.client('ID')
    const put = one.reads.read(false, 'xread', ['BLOCK', 0, 'STREAMS', key, '0'], delay)
    let isAnswered = false
    void put.then(() => {
      isAnswered = true
    })
    await other.client.xadd(key, '1-1', 'data', 'a')
    await other.client.xadd(key, '1-2', 'data', 'b')
    expect(isAnswered).toBe(false)
    while ((await other.client.client('UNBLOCK', id)) === 0) await other.client.ping()
    expect(await put).toEqual([
      [
        key,
        [
          ['1-1', ['data', 'a']],
          ['1-2', ['data', 'b']],
        ],
      ],
    ])
    const soon = { ...delay, ms: 1 }
    expect(await one.reads.read(false, 'xread', ['STREAMS', key, '1-2'], soon)).toBeUndefined()
    await one.client.set(delay.emptyKey, 'not a stream')
    const refused = one.reads.read(false, 'xread', ['STREAMS', key, '0'], soon)
    await expect(refused).rejects.toThrow('WRONGTYPE')
    expect(await one.client.ping()).toBe('PONG')
  })

  it('may be put off for longer than a reply may take beside it, and where the key is not allowed', async () => {
    using one = await connected(protocol, 1_800)
    const key = newKey()
    const read = (delayMs: number): Promise<unknown> =>
      one.reads.read(false, 'xread', ['BLOCK', 1_000, 'STREAMS', key, '$'], {
        ms: delayMs,
        emptyKey: `empty:${key}`,
      })
    expect(await read(1_000)).toBeUndefined()
    await one.client.acl('SETUSER', `narrow-${key}`, 'on', '>pw', `~${key}`, '+@all')
    await one.client.auth(`narrow-${key}`, 'pw')
    expect(one.reads.takesDelay).toBe(true)
    expect(await read(1)).toBeUndefined()
    expect(one.reads.takesDelay).toBe(false)
  })

  it('fail as other commands do, and go on after that', async () => {
    using one = await connected(protocol)
    const key = newKey()
    const args = ['GROUP', 'g', 'one', 'COUNT', 5, 'STREAMS', key, '>']
    await expect(one.reads.read(false, 'xreadgroup', args)).rejects.toThrow('NOGROUP')
    await one.client.xadd(key, '1-1', 'data', 'a')
    await one.client.xgroup('CREATE', key, 'g', '0')
    const reply = await one.reads.read(false, 'xreadgroup', args)
    expect(reply).toEqual([[key, [['1-1', ['data', 'a']]]]])
  })

  it('are one at a time', async () => {
    using one = await connected(protocol)
    using other = await connected(protocol)
    const key = newKey()
    const read = (): Promise<unknown> =>
      one.reads.read(false, 'xread', ['BLOCK', 0, 'STREAMS', key, '0'])
    const first = read()
    await expect(read()).rejects.toThrow('under way')
    await other.client.xadd(key, '1-1', 'data', 'a')
    expect(await first).toEqual([[key, [['1-1', ['data', 'a']]]]])
  })

  it('end with their connection', async () => {
    using one = await connected(protocol)
    const blocked = one.reads.read(false, 'xread', ['BLOCK', 0, 'STREAMS', newKey(), '$'])
    one.client.disconnect()
    await expect(blocked).rejects.toThrow('closed')
    await expect(one.reads.read(false, 'xread', ['STREAMS', newKey(), '0'])).rejects.toThrow(
      'closed',
    )
  })

  it('end at once when their owner gives the connection up', async () => {
    using one = await connected(protocol)
    const blocked = one.reads.read(false, 'xread', ['BLOCK', 0, 'STREAMS', newKey(), '$'])
    one.ended.abort(new Error('given up'))
    await expect(blocked).rejects.toThrow('closed')
  })

  it('are no trouble to the client when their reply comes after that', async () => {
    using one = await connected(protocol)
    using other = await connected(protocol)
    const errors: unknown[] = []
    one.client.on('error', (error: unknown) => errors.push(error))
    const key = newKey()
    const blocked = one.reads.read(false, 'xread', ['BLOCK', 0, 'STREAMS', key, '0'])
    one.ended.abort(new Error('given up'))
    await expect(blocked).rejects.toThrow('closed')
    const arrived = once(one.client.stream, 'data')
    await other.client.xadd(key, '1-1', 'data', 'late')
    await arrived
    await new Promise(setImmediate)
    expect(errors).toEqual([])
  })

  it('end the connection when no reply comes in time', async () => {
    using one = await connected(protocol, 50)
    const { promise: reason, resolve } = Promise.withResolvers<unknown>()
    one.client.on('error', resolve)
    const blocked = one.reads.read(false, 'xread', ['BLOCK', 0, 'STREAMS', newKey(), '$'])
    await expect(blocked).rejects.toThrow('closed')
    expect(troubleOf(await reason)).toBe('disconnected')
  })

  it('are left to a client that somebody else listens to', async () => {
    using one = await connected(protocol)
    one.client.stream.on('data', () => undefined)
    const key = newKey()
    await one.client.xadd(key, '1-1', 'data', 'ä')
    const reads = new StreamReads(one.client, one.ended.signal)
    const expected = [[key, [['1-1', ['data', 'ä']]]]]
    expect(await reads.read(false, 'xread', ['STREAMS', key, '0'])).toEqual(expected)
    const [stream] = (await reads.read(true, 'xread', ['STREAMS', key, '0'])) ?? []
    expect(stream?.[1]).toEqual([['1-1', [Buffer.from('data'), Buffer.from('ä')]]])
  })
})
