import { expect, it } from 'vitest'
import { waitFor } from '@millrace/testkit'
import { UnrecoverableError } from '../../src/index.ts'
import { range, readings } from './bed.ts'
import { describeConformance } from './describe-conformance.ts'

const backoff = { firstMs: 5, greatestMs: 5 }

describeConformance('A dead letter', (bed) => {
  it('is what an event becomes after its last attempt, byte for byte, and the others go on', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    const seen: Record<string, number[]> = { board: [], pool: [] }
    const handler =
      (name: string) =>
      ({ data }: { data: { n: number } }) => {
        if (data.n === 3) throw new Error('cannot be done')
        seen[name]?.push(data.n)
      }
    const options = { maxAttempts: 2, backoff, leaseMs: 600 }
    millrace.consumer(stream, { name: 'board', ...options }).start(handler('board'))
    millrace.consumerGroup(stream, { name: 'pool', ...options }).start(handler('pool'))
    const results = await millrace.publish(stream, readings(6), { headers: { trace: 'abc' } })
    const others = range(6).filter((n) => n !== 3)
    await waitFor(() => seen['board']?.length === 5 && seen['pool']?.length === 5, {
      describe: 'the others',
    })
    const redis = await bed.redis(stream)
    for (const name of ['board', 'pool']) {
      const key = bed.key(stream, `:dead:${name}`)
      await waitFor(async () => (await redis.xlen(key)) === 1, { describe: 'the dead letter' })
      const [letter] = await redis.xrange(key, '-', '+')
      expect(letter?.[1]).toEqual(expect.arrayContaining(['data', '{"n":3}', 'h:trace', 'abc']))
      expect(letter?.[1]).toEqual(
        expect.arrayContaining([
          ...['dead:id', results[3]?.id, 'dead:reason', 'exhausted', 'dead:attempts', '2'],
          ...['dead:error', expect.stringContaining('cannot be done')],
        ]),
      )
      expect(seen[name]?.toSorted((a, b) => a - b)).toEqual(others)
    }
    expect(seen['board']).toEqual(others)
    await waitFor(
      async () => (await bed.state(stream, 'board'))['position'] === results.at(-1)?.id,
      {
        describe: 'the position to pass it',
      },
    )
    await waitFor(async () => (await bed.image(stream, 'pool'))['pending'] === 0, {
      describe: 'all to be settled',
    })
    const report = await millrace.inspect(stream)
    expect([report.consumers[0]?.deadLetters, report.groups[0]?.deadLetters]).toEqual([1, 1])
  })

  it('is made at once of what can never succeed, and of what cannot be decoded', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    const attempts: number[] = []
    const handler = (_: unknown, { attempt }: { attempt: number }): void => {
      attempts.push(attempt)
      throw new UnrecoverableError('never')
    }
    millrace.consumer(stream, { name: 'board' }).start(handler)
    millrace.consumerGroup(stream, { name: 'pool' }).start(handler)
    await millrace.publish(stream, { n: 1 })
    const redis = await bed.redis(stream)
    await redis.xadd(bed.key(stream), '*', 'data', 'not json')
    for (const name of ['board', 'pool']) {
      const key = bed.key(stream, `:dead:${name}`)
      await waitFor(async () => (await redis.xlen(key)) === 2, {
        describe: `the dead letters of ${name}`,
      })
      const letters = await redis.xrange(key, '-', '+')
      const reasons = letters.map(([, fields]) => fields[fields.indexOf('dead:reason') + 1])
      expect(new Set(reasons)).toEqual(new Set(['invalid', 'unrecoverable']))
    }
    expect(attempts).toEqual([1, 1])
  })

  it('is never lost for want of room: the consumer stops and says so, and resumes there', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    const options = { name: 'board', maxDeadLetters: 1 }
    await millrace.publish(stream, readings(3))
    const full = millrace.consumer(stream, options).start(() => {
      throw new UnrecoverableError('never')
    })
    await expect(full.done).rejects.toMatchObject({ code: 'DEAD_LETTER_FULL' })
    const seen: number[] = []
    const mended = (await bed.open()).consumer(stream, { ...options, maxDeadLetters: 2 })
    mended.start(({ data }) => void seen.push(data.n))
    await waitFor(() => seen.length === 2, { describe: 'the events that are left' })
    expect(seen).toEqual([1, 2])
  })
})
