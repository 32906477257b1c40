import { type RedisServer, startRedis } from '@millrace/testkit'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import type { Core } from '../../src/core.ts'
import type { ErrorCode } from '../../src/errors.ts'
import { Producer } from '../../src/producer/producer.ts'
import { defineStream } from '../../src/stream/define-stream.ts'
import { openRig, payloadsOf } from './rig.ts'

describe('bad input to a producer', () => {
  let redis: RedisServer
  let rig: { core: Core } & Disposable
  let streams = 0

  beforeAll(async () => {
    redis = await startRedis()
    rig = openRig(redis.url)
  })
  beforeEach(async () => {
    await redis.client().flushall()
  })
  afterAll(async () => {
    rig[Symbol.dispose]()
    await redis[Symbol.asyncDispose]()
  })

  const flight = z.object({ flight: z.string(), delay: z.number() })
  type Flight = z.infer<typeof flight>
  const good = { flight: 'AA1', delay: 3 }

  /** Expects the code, that nothing was stored, and that the next good event is. */
  async function expectRefusal(
    code: ErrorCode,
    text: RegExp,
    attempt: (producer: Producer<Flight>) => Promise<unknown>,
  ): Promise<void> {
    const name = `bad-${++streams}`
    const key = `mr:{${name}}${name}`
    const stream = defineStream(name, { schema: flight, limits: { maxPayloadBytes: 100 } })
    await using producer = new Producer(rig.core, stream)
    await expect(attempt(producer)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(text) as string,
    })
    expect(await redis.client().exists(key, `${key}:producers`, `${key}:meta`)).toBe(0)
    await producer.publish(good)
    expect(await payloadsOf(redis.client(), key)).toEqual([good])
  }

  // What a program without types can hand over.
  const untyped = (value: unknown): never => value as never

  it('a payload that fails its schema is PAYLOAD_INVALID', () =>
    expectRefusal('PAYLOAD_INVALID', /delay/, (p) =>
      p.publish(untyped({ flight: 'AA1', delay: 'late' })),
    ))

  it('an array with bad payloads is refused whole, and the error says which they are', async () => {
    await expectRefusal('PAYLOAD_INVALID', /2 of the payloads .*\[1\] delay.*\[3\] flight/, (p) =>
      p.publishMany([good, untyped({ flight: 'AA1' }), good, untyped({ delay: 1 })]),
    )
  })

  it('a payload above the limit is PAYLOAD_TOO_LARGE, its headers counted', async () => {
    await expectRefusal('PAYLOAD_TOO_LARGE', /at most 100/, (p) =>
      p.publish({ flight: 'x'.repeat(100), delay: 1 }),
    )
    await expectRefusal('PAYLOAD_TOO_LARGE', /at most 100/, (p) =>
      p.publish(good, { headers: { note: 'ä'.repeat(40) } }),
    )
    await expectRefusal('PAYLOAD_TOO_LARGE', /\[1\]/, (p) =>
      p.publishMany([good, { flight: 'x'.repeat(100), delay: 1 }]),
    )
  })

  it('a payload of exactly the limit is stored', async () => {
    const stream = defineStream<string>('exact', { limits: { maxPayloadBytes: 106 } })
    await using producer = new Producer(rig.core, stream)
    await producer.publish('x'.repeat(100))
    await expect(producer.publish('x'.repeat(101))).rejects.toMatchObject({
      code: 'PAYLOAD_TOO_LARGE',
    })
  })

  it('a payload that cannot be encoded, or whose key cannot be derived, is PAYLOAD_INVALID', async () => {
    await using plain = new Producer(rig.core, defineStream('cannot-encode'))
    for (const payload of [undefined, () => 1, 10n]) {
      await expect(plain.publish(payload)).rejects.toMatchObject({ code: 'PAYLOAD_INVALID' })
    }
    const keyed = defineStream<{ key?: unknown }>('no-key', {
      key: (input) => {
        if (input.key === 'throw') throw new Error('no key today')
        return input.key as string
      },
    })
    await using producer = new Producer(rig.core, keyed)
    await expect(producer.publish({ key: 'throw' })).rejects.toMatchObject({
      code: 'PAYLOAD_INVALID',
      message: expect.stringContaining('no key today') as string,
    })
    await expect(producer.publish({ key: 5 })).rejects.toMatchObject({ code: 'PAYLOAD_INVALID' })
    expect(
      await redis.client().exists('mr:{no-key}no-key', 'mr:{cannot-encode}cannot-encode'),
    ).toBe(0)
  })

  it('an option that is unknown or out of range is OPTIONS_INVALID, all of them in one error', async () => {
    await expectRefusal(
      'OPTIONS_INVALID',
      /colour.*timeMs.*headers.*idempotencyKey.*deadlineMs/,
      (p) =>
        p.publish(
          good,
          untyped({
            colour: 'red',
            timeMs: -1,
            headers: { '': 'x' },
            idempotencyKey: '',
            deadlineMs: 0,
          }),
        ),
    )
    await expectRefusal('OPTIONS_INVALID', /control/, (p) =>
      p.publish(good, { headers: { 'a\nb': 'x' } }),
    )
    await expectRefusal('OPTIONS_INVALID', /must be a text/, (p) =>
      p.publish(good, { headers: untyped({ a: 5 }) }),
    )
    await expectRefusal('OPTIONS_INVALID', /one key for each of the 2/, (p) =>
      p.publishMany([good, good], { idempotencyKeys: ['only-one'] }),
    )
    await expectRefusal('OPTIONS_INVALID', /\[1\]/, (p) =>
      p.publishMany([good, good], { idempotencyKeys: ['a', ''] }),
    )
    await expectRefusal('OPTIONS_INVALID', /array/, (p) => p.publishMany(untyped('text')))
    expect(
      () =>
        new Producer(rig.core, defineStream('x'), untyped({ producerId: 'a b', maxInFlight: 1 })),
    ).toThrow(/producerId.*maxInFlight/)
  })

  it('a stream that was defined otherwise is STREAM_MISMATCH, and nothing is written to it', async () => {
    await redis
      .client()
      .hset(
        'mr:{other}other:meta',
        'incarnation',
        'i',
        'format',
        '1',
        'partitions',
        '4',
        'tag',
        'other',
      )
    await using producer = new Producer(rig.core, defineStream('other'))
    await expect(producer.publish(1)).rejects.toMatchObject({ code: 'STREAM_MISMATCH' })
    expect(await redis.client().exists('mr:{other}other')).toBe(0)
    await redis.client().hset('mr:{other}other:meta', 'partitions', '1')
    await producer.publish(2)
    expect(await payloadsOf(redis.client(), 'mr:{other}other')).toEqual([2])
  })

  it('a key of another type is KEY_TYPE, before the first event and between two', async () => {
    const admin = redis.client()
    await admin.set('mr:{typed}typed', 'text')
    await using producer = new Producer(rig.core, defineStream('typed'))
    await expect(producer.publish(1)).rejects.toMatchObject({ code: 'KEY_TYPE' })
    await admin.del('mr:{typed}typed')
    await producer.publish(2)
    await admin.set('mr:{typed}typed', 'text')
    await expect(producer.publish(3)).rejects.toMatchObject({ code: 'KEY_TYPE' })
    await admin.del('mr:{typed}typed')
    await producer.publish(4)
    expect(await payloadsOf(admin, 'mr:{typed}typed')).toEqual([4])
  })

  it('a user without rights is PERMISSION_DENIED, and can publish once granted', async () => {
    const admin = redis.client()
    await admin.call('acl', 'setuser', 'reader', 'on', '>secret', '~*', '+@all', '-xadd')
    using limited = openRig(redis.url.replace('redis://', 'redis://reader:secret@'))
    await using producer = new Producer(limited.core, defineStream('rights'))
    await expect(producer.publish(1)).rejects.toMatchObject({ code: 'PERMISSION_DENIED' })
    await admin.call('acl', 'setuser', 'reader', '+xadd')
    await producer.publish(2)
    expect(await payloadsOf(admin, 'mr:{rights}rights')).toEqual([2])
  })

  it('a wrong password is AUTH_FAILED', async () => {
    using wrong = openRig(redis.url.replace('redis://', 'redis://nobody:wrong@'))
    await using producer = new Producer(wrong.core, defineStream('auth'))
    await expect(producer.publish(1)).rejects.toMatchObject({ code: 'AUTH_FAILED' })
  })
})
