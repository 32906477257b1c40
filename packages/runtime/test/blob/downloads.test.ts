import { expect, test } from 'vitest'
import { waitFor } from '@millrace/testkit'
import { Downloads, payloadHolder } from '../../src/blob/downloads.ts'
import { systemClock } from '../../src/lifecycle/clock.ts'
import type { Claimed } from '../../src/stream/event.ts'
import { range, useRedis } from '../open-millrace.ts'
import { documents, fileStore, sha256, text, TroubledStore } from './blob-bed.ts'

const bed = useRedis()
const signal = (): AbortSignal => new AbortController().signal

/** A payload of 100 bytes for one event; it is answered when the test says so. */
class Payloads {
  readonly name = 'payloads of a test'
  readonly gates = new Map<string, PromiseWithResolvers<void>>()
  readonly aborted: string[] = []
  inMemory = 0
  greatest = 0
  readonly decoder = {}

  get(key: string, options: { signal: AbortSignal }): Promise<Uint8Array> {
    const gate = Promise.withResolvers<void>()
    this.gates.set(key, gate)
    this.greatest = Math.max(this.greatest, ++this.inMemory)
    options.signal.addEventListener('abort', () => {
      this.aborted.push(key)
      gate.reject(new Error('nobody waits'))
    })
    return gate.promise.then(() => Buffer.alloc(100, 'x'))
  }

  put(): Promise<void> {
    throw new Error('nothing is stored here')
  }

  delete(): Promise<void> {
    throw new Error('nothing is deleted here')
  }

  list(): never {
    throw new Error('nothing is listed here')
  }

  claimed(n: number): Claimed<string> {
    const reference = { key: `k/${n}`, bytes: 100, sha256: sha256(text(100)) }
    return {
      ok: 'claimed',
      id: `${n}-0`,
      key: undefined,
      bytes: 200,
      reference,
      decoder: this.decoder,
      complete: (content) => ({
        ok: false,
        id: `${n}-0`,
        bytes: 200,
        error: new Error(String(content)),
      }),
    }
  }
}

test('all who want one payload share one fetch', async () => {
  const { store } = await fileStore(bed)
  const counting = new TroubledStore(store)
  const gate = Promise.withResolvers<void>()
  counting.before = (method) => (method === 'get' ? gate.promise : undefined)
  const stream = documents()
  const millrace = await bed.open({ blobStore: counting })
  await millrace.publish(stream, { n: 1, text: text(5_000) })
  const events = new Set<object>()
  let handled = 0
  for (const n of range(20)) {
    millrace.consumer(stream, { name: `consumer-${n}` }).start((event) => {
      events.add(event)
      handled++
    })
  }
  await waitFor(() => counting.gets > 0, { describe: 'the fetch' })
  gate.resolve()
  await waitFor(() => handled === 20, { describe: 'all consumers' })
  expect(counting.gets).toBe(1)
  expect(events.size).toBe(1)
})

test('together they hold no more than the budget, and one each where that is less', async () => {
  const payloads = new Payloads()
  const downloads = new Downloads(payloads, systemClock, 250)
  const [first, second] = [payloadHolder(), payloadHolder()]
  const taken = range(4).map((n) => downloads.take(payloads.claimed(n), first, signal()))
  const other = range(2, 10).map((n) => downloads.take(payloads.claimed(n), second, signal()))
  await waitFor(() => payloads.gates.size === 3, { describe: 'what there is room for' })
  // Two of the first, and the one that the second may always have.
  expect([...payloads.gates.keys()]).toEqual(['k/0', 'k/1', 'k/10'])
  expect(downloads.bytes).toBe(300)
  for (const promise of [...taken, ...other]) promise.catch(() => undefined)
  for (let done = 0; done < 6; done++) {
    await waitFor(() => payloads.gates.size > 0, { describe: 'the next fetch' })
    const [[key, gate] = ['', undefined]] = payloads.gates
    payloads.gates.delete(key)
    gate?.resolve()
    const n = Number(key.slice(2))
    const held = await (n < 10 ? taken[n] : other[n - 10])
    expect(held?.decoded.ok).toBe(false)
    payloads.inMemory--
    held?.release()
    expect(downloads.bytes).toBeLessThanOrEqual(300)
  }
  expect(payloads.greatest).toBeLessThanOrEqual(3)
  expect(downloads.bytes).toBe(0)
  expect([first.holds, second.holds]).toEqual([0, 0])
})

test('a fetch is given up when nobody waits for it any more, and begun anew for the next', async () => {
  const payloads = new Payloads()
  const downloads = new Downloads(payloads, systemClock, 1_000)
  const [one, two] = [new AbortController(), new AbortController()]
  const holder = payloadHolder()
  const first = downloads.take(payloads.claimed(1), holder, one.signal)
  const second = downloads.take(payloads.claimed(1), holder, two.signal)
  await waitFor(() => payloads.gates.size === 1, { describe: 'the fetch' })
  one.abort()
  await expect(first).rejects.toMatchObject({ code: 'ABORTED' })
  expect(payloads.aborted).toEqual([])
  two.abort()
  await expect(second).rejects.toMatchObject({ code: 'ABORTED' })
  expect(payloads.aborted).toEqual(['k/1'])
  expect(downloads.bytes).toBe(0)
  expect(holder.holds).toBe(0)
  payloads.gates.clear()
  const third = downloads.take(payloads.claimed(1), holder, signal())
  await waitFor(() => payloads.gates.size === 1, { describe: 'another fetch' })
  payloads.gates.get('k/1')?.resolve()
  const held = await third
  held.release()
  held.release()
  expect(holder.holds).toBe(0)
})
