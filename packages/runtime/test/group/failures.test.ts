import { waitFor } from '@millrace/testkit'
import { afterAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { channels, type Handled } from '../../src/diagnostics.ts'
import { UnrecoverableError } from '../../src/delivery/unrecoverable.ts'
import { defineStream } from '../../src/stream/define-stream.ts'
import { GroupTestbed } from './group-on-redis.ts'

const bed = await GroupTestbed.start()
afterAll(() => bed[Symbol.asyncDispose]())

const quick = { firstMs: 20, greatestMs: 40, jitter: 0 }

interface Letter {
  readonly [field: string]: string
}

async function letters(key: string, group: string): Promise<Letter[]> {
  const entries = await bed.client.xrange(`${key}:dead:${group}`, '-', '+')
  return entries.map(([, flat]) => {
    const letter: Record<string, string> = {}
    for (let i = 0; i + 1 < flat.length; i += 2) letter[flat[i] ?? ''] = flat[i + 1] ?? ''
    return letter
  })
}

describe('a handler that fails', () => {
  it('is tried again after a growing wait, while other events go on, and then its event is a dead letter', async () => {
    const stream = bed.stream()
    const [bad] = await bed.append(stream, 1, 0)
    const attempts: number[] = []
    const startedMs: number[] = []
    const good: number[] = []
    const group = bed.group(bed.core(), stream, {
      name: 'g',
      maxAttempts: 4,
      backoff: { firstMs: 40, greatestMs: 80, jitter: 0 },
    })
    group.start(({ data }, { attempt, redelivered }) => {
      if (data.n > 0) {
        good.push(data.n)
        return
      }
      expect(redelivered).toBe(attempt > 1)
      attempts.push(attempt)
      startedMs.push(performance.now())
      throw new Error(`no luck with ${data.n}`)
    })
    await waitFor(() => attempts.length === 1, { describe: 'the first attempt' })
    await bed.append(stream, 20, 1)
    await waitFor(async () => (await letters(bed.key(stream), 'g')).length === 1, {
      describe: 'the dead letter',
    })
    await waitFor(() => good.length >= 20, { describe: 'the other events' })
    expect(attempts).toEqual([1, 2, 3, 4])
    const waits = startedMs.slice(1).map((ms, i) => ms - (startedMs[i] ?? 0))
    for (const [i, least] of [40, 80, 80].entries())
      expect(waits[i]).toBeGreaterThanOrEqual(least - 2)
    expect(good).toHaveLength(20)
    expect(await letters(bed.key(stream), 'g')).toEqual([
      {
        data: '{"n":0}',
        'dead:id': bad,
        'dead:reason': 'exhausted',
        'dead:attempts': '4',
        'dead:error': 'no luck with 0',
      },
    ])
    await waitFor(async () => (await bed.pending(stream, 'g')) === 0, {
      describe: 'all to be settled',
    })
  })

  it('keeps number and due time of its attempts when its member is replaced', async () => {
    const stream = bed.stream()
    await bed.append(stream, 1)
    const one = bed.group(bed.core(), stream, { name: 'g', backoff: { firstMs: 400, jitter: 0 } })
    let failedMs = 0
    one.start(() => {
      failedMs = performance.now()
      throw new Error('not yet')
    })
    await waitFor(() => failedMs > 0, { describe: 'the failure' })
    await one.close()
    const second = Promise.withResolvers<{ attempt: number; waitedMs: number }>()
    const two = bed.group(bed.core(), stream, { name: 'g', backoff: { firstMs: 400, jitter: 0 } })
    two.start((_event, { attempt }) => {
      second.resolve({ attempt, waitedMs: performance.now() - failedMs })
    })
    const { attempt, waitedMs } = await second.promise
    expect(attempt).toBe(2)
    expect(waitedMs).toBeGreaterThanOrEqual(390)
  })

  it('is not tried again after an unrecoverable error', async () => {
    const stream = bed.stream()
    await bed.append(stream, 2)
    let calls = 0
    const group = bed.group(bed.core(), stream, { name: 'g' })
    group.start(({ data }) => {
      calls++
      if (data.n === 1) throw new UnrecoverableError('no such flight')
      return Promise.reject(Object.assign(new Error('nor that'), { unrecoverable: true }))
    })
    await waitFor(async () => (await letters(bed.key(stream), 'g')).length === 2, {
      describe: 'dead letters',
    })
    expect(calls).toBe(2)
    expect(await letters(bed.key(stream), 'g')).toMatchObject([
      { 'dead:reason': 'unrecoverable', 'dead:attempts': '1', 'dead:error': 'no such flight' },
      { 'dead:reason': 'unrecoverable', 'dead:attempts': '1', 'dead:error': 'nor that' },
    ])
  })

  it('stops the member where the owner chose so, and the next one resumes at that event', async () => {
    const stream = bed.stream()
    const [id] = await bed.append(stream, 3)
    const one = bed.group(bed.core(), stream, {
      name: 'g',
      maxAttempts: 2,
      backoff: quick,
      onExhausted: 'stop',
    })
    const cause = new Error('broken')
    one.start(({ data }) => {
      if (data.n === 1) throw cause
    })
    await expect(one.done).rejects.toMatchObject({ code: 'HANDLER_FAILED', cause, subject: 'g' })
    await one.closed
    expect(one.state).toBe('closed')
    const two = bed.group(bed.core(), stream, { name: 'g' })
    const resumed = Promise.withResolvers<{ id: string; attempt: number }>()
    two.start((event, { attempt }) => {
      resumed.resolve({ id: event.id, attempt })
    })
    await expect(resumed.promise).resolves.toEqual({ id, attempt: 1 })
    expect(await letters(bed.key(stream), 'g')).toEqual([])
  })

  it('stops the member when there is no room for the dead letter, and loses nothing', async () => {
    const stream = bed.stream()
    await bed.append(stream, 3)
    const group = bed.group(bed.core(), stream, { name: 'g', maxAttempts: 1, maxDeadLetters: 2 })
    group.start(() => {
      throw new Error('broken')
    })
    await expect(group.done).rejects.toMatchObject({ code: 'DEAD_LETTER_FULL' })
    expect(await letters(bed.key(stream), 'g')).toHaveLength(2)
    expect(await bed.pending(stream, 'g')).toBe(1)
  })

  it('has failed when it runs too long, is told so, and keeps its place until it has settled', async () => {
    const stream = bed.stream()
    await bed.append(stream, 2)
    const calls: string[] = []
    const gate = Promise.withResolvers<void>()
    const group = bed.group(bed.core(), stream, { name: 'g', handlerTimeoutMs: 60, backoff: quick })
    group.start(async ({ data }, { signal, attempt }) => {
      calls.push(`${data.n}/${attempt}`)
      if (data.n !== 1 || attempt > 1) return
      await new Promise((resolve) => {
        signal.addEventListener('abort', resolve)
      })
      expect(signal.reason).toMatchObject({ code: 'HANDLER_FAILED' })
      calls.push('told')
      await gate.promise
    })
    await waitFor(() => calls.includes('told'), { describe: 'the signal' })
    expect(calls).toEqual(['1/1', 'told'])
    gate.resolve()
    await waitFor(() => calls.length === 4, { describe: 'the second attempt' })
    expect(calls.toSorted()).toEqual(['1/1', '1/2', '2/1', 'told'])
  })

  it('is reported with what went wrong', async () => {
    const stream = bed.stream()
    const [id] = await bed.append(stream, 1)
    const reports: Handled[] = []
    const off = channels.handled.subscribe((report) => reports.push(report))
    const group = bed.group(bed.core(), stream, { name: 'g', backoff: quick })
    group.start((_event, { attempt }) => {
      if (attempt === 1) throw new Error('first')
    })
    await waitFor(() => reports.length === 2, { describe: 'two reports' })
    off()
    expect(reports).toMatchObject([
      { stream: stream.name, name: 'g', id, attempt: 1, ok: false, error: { message: 'first' } },
      { stream: stream.name, name: 'g', id, attempt: 2, ok: true, error: undefined },
    ])
  })
})

describe('a payload that does not fit', () => {
  const schema = z.object({ n: z.number().transform((n) => n * 10) })
  const slowSchema = z
    .object({ n: z.number() })
    .refine(async ({ n }) => (await Promise.resolve(n)) < 100)
  let streams = 0

  async function append(stream: { name: string }, ...data: string[]): Promise<void> {
    const key = `mr:{${stream.name}}${stream.name}`
    for (const text of data) await bed.client.xadd(key, '*', 'data', text, 'h:trace', 'abc')
  }

  it('becomes a dead letter at once, byte for byte and with its headers', async () => {
    const stream = defineStream(`typed-${++streams}`, { schema })
    await append(stream, '{"n":', '{"n":"1"}', '{"n":1}')
    const seen: number[] = []
    const group = bed.group(bed.core(), stream, { name: 'g' })
    group.start(({ data }) => {
      seen.push(data.n)
    })
    await waitFor(async () => (await letters(bed.key(stream), 'g')).length === 2, {
      describe: 'dead letters',
    })
    await waitFor(() => seen.length > 0, { describe: 'the event that is whole' })
    expect(seen).toEqual([10])
    expect(await letters(bed.key(stream), 'g')).toMatchObject([
      { data: '{"n":', 'h:trace': 'abc', 'dead:reason': 'invalid' },
      { data: '{"n":"1"}', 'h:trace': 'abc', 'dead:reason': 'invalid' },
    ])
  })

  it('is skipped where the owner chose so', async () => {
    const stream = defineStream(`typed-${++streams}`, { schema: slowSchema })
    await append(stream, '{"n":100}', '{"n":1}', 'nonsense', '{"n":2}')
    const seen: number[] = []
    const group = bed.group(bed.core(), stream, { name: 'g', onInvalid: 'skip' })
    group.start(({ data }) => {
      seen.push(data.n)
    })
    await waitFor(() => seen.length === 2, { describe: 'the valid events' })
    await waitFor(async () => (await bed.pending(stream, 'g')) === 0, {
      describe: 'the others to be settled',
    })
    expect(await letters(bed.key(stream), 'g')).toEqual([])
  })

  it('stops the member where the owner chose so', async () => {
    const stream = defineStream(`typed-${++streams}`, { schema })
    await append(stream, 'nonsense')
    const group = bed.group(bed.core(), stream, { name: 'g', onInvalid: 'stop' })
    group.start(() => undefined)
    await expect(group.done).rejects.toMatchObject({
      code: 'HANDLER_FAILED',
      cause: { code: 'PAYLOAD_INVALID' },
    })
    expect(await bed.pending(stream, 'g')).toBe(1)
  })

  it('keeps binary payloads as they are, also in dead letters', async () => {
    const codec = {
      name: 'bytes',
      binary: true,
      encode: (value: unknown) => value as Uint8Array,
      decode: (stored: string | Uint8Array) => stored,
    }
    const stream = defineStream<Uint8Array>(`typed-${++streams}`, { codec })
    const bytes = Buffer.from([0, 255, 254, 10, 13, 128])
    await bed.client.xadd(bed.key(stream), '*', 'data', bytes)
    const seen: Uint8Array[] = []
    const group = bed.group(bed.core(), stream, { name: 'g', maxAttempts: 2, backoff: quick })
    group.start(({ data }) => {
      seen.push(data)
      throw new Error('never')
    })
    const dead = `${bed.key(stream)}:dead:g`
    await waitFor(async () => (await bed.client.xlen(dead)) === 1, { describe: 'the dead letter' })
    const [letter] = await bed.client.xrangeBuffer(dead, '-', '+')
    expect(letter?.[1][1]).toEqual(bytes)
    expect(seen.map((data) => Buffer.from(data))).toEqual([bytes, bytes])
  })
})
