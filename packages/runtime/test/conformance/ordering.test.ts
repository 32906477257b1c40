import { setTimeout as delay } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { createDeliveryRecorder, waitFor } from '@millrace/testkit'
import { range } from './bed.ts'
import { describeConformance } from './describe-conformance.ts'
import { idsOf } from './ids-of.ts'

const KEYS = ['a', 'b', 'c', 'd', 'e']

describeConformance('Order', (bed) => {
  it('is that of the stream, one handler at a time, also while catching up', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    const seen: number[] = []
    let running = 0
    let mostRunning = 0
    await millrace.publish(
      stream,
      range(1_000).map((n) => ({ n })),
    )
    millrace.consumer(stream, { name: 'board' }).start(async ({ data }) => {
      mostRunning = Math.max(mostRunning, ++running)
      if (data.n % 100 === 0) await delay(1)
      running--
      seen.push(data.n)
    })
    for (const n of range(500, 1_000)) void millrace.publish(stream, { n })
    await waitFor(() => seen.length === 1_500, { describe: 'all events' })
    expect(seen).toEqual(range(1_500))
    expect(mostRunning).toBe(1)
  })

  it('is that of each key, side by side', async () => {
    const millrace = await bed.open()
    const stream = bed.stream({ key: ({ key }) => key ?? '' })
    const recorder = createDeliveryRecorder()
    let running = 0
    let mostRunning = 0
    const results = await millrace.publish(
      stream,
      range(300).map((n) => ({ n, key: KEYS[n % KEYS.length] ?? '' })),
    )
    millrace
      .consumer(stream, { name: 'board', order: 'key', concurrency: 8 })
      .start(async ({ id, key, data }) => {
        mostRunning = Math.max(mostRunning, ++running)
        await delay(data.n % 3)
        running--
        recorder.record({ id, key, sequence: data.n, consumer: 'board' })
      })
    await waitFor(() => recorder.deliveries.length >= 300, { describe: 'all events' })
    expect(recorder.report(idsOf(results))).toMatchObject({ lost: 0, outOfOrder: 0, duplicates: 0 })
    expect(mostRunning).toBe(KEYS.length)
  })

  it('holds back the key of a failed event, and no other', async () => {
    const millrace = await bed.open()
    const stream = bed.stream({ key: ({ key }) => key ?? '' })
    const seen: string[] = []
    const gate = Promise.withResolvers<void>()
    millrace
      .consumer(stream, { name: 'board', order: 'key', backoff: { firstMs: 20, greatestMs: 20 } })
      .start(async ({ data }, { attempt }) => {
        if (data.n === 0 && attempt === 1) throw new Error('not yet')
        if (data.n === 0) await gate.promise
        seen.push(`${data.key}${data.n}`)
      })
    await millrace.publish(
      stream,
      range(6).map((n) => ({ n, key: n % 2 === 0 ? 'a' : 'b' })),
    )
    await waitFor(() => seen.length === 3, { describe: 'the other key' })
    expect(seen).toEqual(['b1', 'b3', 'b5'])
    gate.resolve()
    await waitFor(() => seen.length === 6, { describe: 'the key that was held back' })
    expect(seen.slice(3)).toEqual(['a0', 'a2', 'a4'])
  })

  it('outlasts a restart that finds events done above the position', async () => {
    const stream = bed.stream({ key: ({ key }) => key ?? '' })
    const options = { name: 'board', order: 'key' as const }
    const seen: string[] = []
    const started = Promise.withResolvers<void>()
    const first = await bed.open()
    const blocked = first.consumer(stream, options).start(async ({ data }, { signal }) => {
      if (data.key === 'a') {
        started.resolve()
        await new Promise((resolve) => signal.addEventListener('abort', resolve))
        throw new Error('told to give up')
      }
      seen.push(`${data.key}${data.n}`)
    })
    await first.publish(
      stream,
      range(40).map((n) => ({ n, key: n === 0 || n === 20 ? 'a' : 'b' })),
    )
    await started.promise
    await waitFor(() => seen.length === 38, { describe: 'the other key' })
    await blocked.close({ deadlineMs: 20 })
    const second = await bed.open()
    second.consumer(stream, options).start(({ data }) => void seen.push(`${data.key}${data.n}`))
    await waitFor(() => seen.length === 40, { describe: 'the key that was held back' })
    // What was done above the position is not done again.
    expect(seen.slice(38)).toEqual(['a0', 'a20'])
  })
})
