import { waitFor } from '@millrace/testkit'
import { expect, it } from 'vitest'
import { range } from '../open-millrace.ts'
import { readings } from '../conformance/bed.ts'
import { describeConformance } from '../conformance/describe-conformance.ts'
import { quick } from './letters.ts'

describeConformance('A redrive', (bed) => {
  it('has every letter handled once, by the consumer or group that gave it up', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    let broken = true
    const seen: Record<string, number[]> = { board: [], pool: [], idle: [] }
    const handler =
      (name: string) =>
      ({ data: { n } }: { data: { n: number } }, { redriven }: { redriven: boolean }): void => {
        if (broken) throw new Error('broken')
        if (redriven) seen[name]?.push(n)
      }
    const options = { maxAttempts: 2, backoff: quick, leaseMs: 600 }
    millrace.consumer(stream, { name: 'board', ...options, order: 'key' }).start(handler('board'))
    millrace
      .consumerGroup(stream, { name: 'pool', ...options, concurrency: 4 })
      .start(handler('pool'))
    millrace.consumerGroup(stream, { name: 'idle', ...options }).start(handler('idle'))
    await millrace.publish(stream, readings(40))
    for (const name of ['board', 'pool', 'idle']) {
      await waitFor(async () => (await millrace.deadLetters(stream, name).count()) === 40, {
        describe: `the dead letters of ${name}`,
      })
    }
    broken = false
    for (const name of ['board', 'pool']) {
      const report = await millrace.deadLetters(stream, name).redrive()
      expect(report).toMatchObject({ matched: 40, redriven: 40 })
    }
    await waitFor(
      async () => {
        const { consumers, groups } = await millrace.inspect(stream)
        return [...consumers, ...groups].every(({ redriving }) => redriving === 0)
      },
      { describe: 'nothing to be left over' },
    )
    const { consumers, groups } = await millrace.inspect(stream)
    const left = [...consumers, ...groups].map(({ name, deadLetters }) => [name, deadLetters])
    expect(left.toSorted((a, b) => String(a).localeCompare(String(b)))).toEqual([
      ['board', 0],
      ['idle', 40],
      ['pool', 0],
    ])
    expect(seen['board']?.toSorted((a, b) => a - b)).toEqual(range(40))
    expect(seen['pool']?.toSorted((a, b) => a - b)).toEqual(range(40))
    expect(seen['idle']).toEqual([])
  })
})
