import { describe, expect, it } from 'vitest'
import { defineScript, isMillraceError, type Step } from '../../src/index.ts'
import { type Reading, useRedis } from '../open-millrace.ts'

const bed = useRedis()

function step(number: number, token: string, values: readonly number[]): Step<Reading> {
  return {
    lease: { name: 'lease', token },
    ledger: 'ledger',
    number,
    events: values.map((n) => ({ data: { n }, headers: { cursor: String(n) } })),
    note: { cursor: String(values.at(-1) ?? '') },
  }
}

/** A lease as an election leaves it. */
async function lease(key: string, token: string): Promise<void> {
  await bed.redis.hset(key, { token, released: '0', beat: '0', leaseMs: '4000', holder: '' })
}

describe('a step', () => {
  it('appends its events and stores its records at once', async () => {
    const stream = bed.stream()
    const extension = (await bed.open()).extension(stream, 'test')
    await lease(extension.key('lease'), '1-a')
    const { firstId, lastId } = await extension.append(step(1, '1-a', [1, 2, 3]))
    const entries = await bed.redis.xrange(bed.key(stream), '-', '+')
    expect(entries.map(([, fields]) => fields)).toEqual(
      [1, 2, 3].map((n) => ['data', JSON.stringify({ n }), 'h:cursor', String(n)]),
    )
    expect([entries[0]?.[0], entries[2]?.[0]]).toEqual([firstId, lastId])
    expect(await bed.redis.hgetall(extension.key('ledger'))).toMatchObject({
      step: '1',
      cursor: '3',
    })
  })

  it('is taken once, however often it is sent', async () => {
    const stream = bed.stream()
    const extension = (await bed.open()).extension(stream, 'test')
    await lease(extension.key('lease'), '1-a')
    const once = step(1, '1-a', [1, 2])
    const first = await extension.append(once)
    expect(await extension.append(once)).toEqual(first)
    expect(await bed.redis.xlen(bed.key(stream))).toBe(2)
  })

  it('is taken once when the reply to it is lost', async () => {
    const stream = bed.stream()
    const proxy = await bed.proxy()
    const extension = (await bed.open({}, proxy.url)).extension(stream, 'test')
    await lease(extension.key('lease'), '1-a')
    await extension.append(step(1, '1-a', [1]))
    const lost = proxy.dropNextReply((command) => command[0]?.toLowerCase() === 'evalsha')
    await extension.append(step(2, '1-a', [2]))
    await lost
    expect(await bed.redis.xlen(bed.key(stream))).toBe(2)
    expect(await bed.redis.hget(extension.key('ledger'), 'step')).toBe('2')
  })

  it('is refused when it is not its turn, or the lease is another’s', async () => {
    const stream = bed.stream()
    const extension = (await bed.open()).extension(stream, 'test')
    await lease(extension.key('lease'), '1-a')
    await extension.append(step(1, '1-a', [1]))
    const refused = async (of: Step<Reading>): Promise<boolean> =>
      await extension.append(of).then(
        () => false,
        (error: unknown) => isMillraceError(error, 'LEASE_LOST'),
      )
    expect(await refused(step(1, '1-a', [1]))).toBe(true)
    expect(await refused(step(3, '1-a', [3]))).toBe(true)
    await lease(extension.key('lease'), '2-b')
    expect(await refused(step(2, '1-a', [2]))).toBe(true)
    expect(await bed.redis.xlen(bed.key(stream))).toBe(1)
  })

  it('keeps many fields of an index, and removes what has gone', async () => {
    const extension = (await bed.open()).extension(bed.stream(), 'test')
    await lease(extension.key('lease'), '1-a')
    const names = Array.from({ length: 1_700 }, (_, i) => `item-${i}`)
    const index = (
      set: readonly string[],
      remove: readonly string[],
    ): NonNullable<Step<Reading>['index']> => ({
      name: 'index',
      set: new Map(set.map((name) => [name, 'hash'])),
      remove,
    })
    await extension.append({ ...step(1, '1-a', []), index: index(names, []) })
    expect(await bed.redis.hlen(extension.key('index'))).toBe(1_700)
    await extension.append({ ...step(2, '1-a', [7]), index: index([], names.slice(1)) })
    expect(await bed.redis.hgetall(extension.key('index'))).toEqual({ 'item-0': 'hash' })
  })

  it('tells that the stream was created anew', async () => {
    const stream = bed.stream()
    const extension = (await bed.open()).extension(stream, 'test')
    await lease(extension.key('lease'), '1-a')
    expect(await extension.append(step(1, '1-a', [1]))).toMatchObject({ recreated: false })
    await bed.redis.del(bed.key(stream))
    expect(await extension.append(step(2, '1-a', []))).toMatchObject({ recreated: false })
    expect(await extension.append(step(3, '1-a', [3]))).toMatchObject({ recreated: true })
    expect(await extension.append(step(4, '1-a', [4]))).toMatchObject({ recreated: false })
  })

  it('writes nothing when a key holds something else', async () => {
    const stream = bed.stream()
    const extension = (await bed.open()).extension(stream, 'test')
    await lease(extension.key('lease'), '1-a')
    await bed.redis.set(extension.key('index'), 'text')
    const bad = {
      ...step(1, '1-a', [1]),
      index: { name: 'index', set: new Map([['a', 'b']]), remove: [] },
    }
    await expect(extension.append(bad)).rejects.toMatchObject({ code: 'KEY_TYPE' })
    expect(await bed.redis.exists(bed.key(stream), extension.key('ledger'))).toBe(0)
  })
})

describe('a script', () => {
  it('runs over companion keys in the slot of the stream', async () => {
    const stream = bed.stream()
    const extension = (await bed.open()).extension(stream, 'test')
    const count = defineScript('count', "return redis.call('INCRBY', KEYS[1], ARGV[1])")
    expect(await extension.run(count, ['counter'], [5])).toBe(5)
    expect(await bed.redis.get(`${bed.key(stream)}:x:test:counter`)).toBe('5')
    expect(() => extension.key('no blanks')).toThrow('companion key')
  })
})
