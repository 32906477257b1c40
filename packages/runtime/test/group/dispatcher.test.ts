import { describe, expect, it } from 'vitest'
import { Dispatcher, type GroupHandler } from '../../src/group/dispatcher.ts'
import { Held } from '../../src/group/held.ts'
import type { Outcome } from '../../src/group/verdict.ts'
import { type Clock, systemClock } from '../../src/lifecycle/clock.ts'
import { decoderOf } from '../../src/stream/decode.ts'
import { defineStream } from '../../src/stream/define-stream.ts'

const stream = defineStream<number>('numbers')

function ready(id: string): Held {
  const held = new Held(id, 'ready', 1, 0, { redelivered: false, quarantined: false })
  held.fields = ['data', '1']
  return held
}

/** Time that stands still, for what must not end a burst of starts because the machine is busy. */
const stillClock: Clock = { ...systemClock, monotonicMs: () => 0 }

function bench(handler: GroupHandler<number>, { concurrency = 2, clock = systemClock } = {}) {
  const finished: [Held, Outcome][] = []
  const finishedLost: [Held, Outcome | undefined][] = []
  let untilMs = Number.POSITIVE_INFINITY
  const dispatcher = new Dispatcher<number>({
    clock,
    concurrency,
    handlerTimeoutMs: 60_000,
    decode: (entry, incarnation) => {
      const decoded = decoderOf(stream)(entry, incarnation)
      if (decoded instanceof Promise || decoded.ok === 'claimed') throw new Error('decodes at once')
      return decoded
    },
    settled: () => undefined,
    handler,
    permit: () => ({ lease: { token: '1-a' }, incarnation: 'i', untilMs }),
    starting: () => undefined,
    finished: (held, outcome) => finished.push([held, outcome]),
    finishedLost: (held, outcome) => finishedLost.push([held, outcome]),
  })
  return {
    dispatcher,
    finished,
    finishedLost,
    expire: () => {
      untilMs = 0
    },
  }
}

describe('the dispatcher', () => {
  it('never runs more handlers at once than allowed, and starts the next as one settles', async () => {
    const gates: (() => void)[] = []
    const { dispatcher, finished } = bench(
      () => new Promise<void>((resolve) => gates.push(resolve)),
      { clock: stillClock },
    )
    for (let n = 1; n <= 5; n++) dispatcher.enqueue(ready(`${n}-0`))
    dispatcher.pump()
    expect([gates.length, dispatcher.running, dispatcher.waiting]).toEqual([2, 2, 3])
    gates[1]?.()
    await Promise.resolve()
    expect([gates.length, dispatcher.running, finished.map(([held]) => held.id)]).toEqual([
      3,
      2,
      ['2-0'],
    ])
    dispatcher.close()
  })

  it('starts nothing once the lease is no longer certain', () => {
    const started: string[] = []
    const { dispatcher, expire } = bench(
      ({ id }) => {
        started.push(id)
        if (started.length === 2) expire()
      },
      { clock: stillClock },
    )
    for (let n = 1; n <= 4; n++) dispatcher.enqueue(ready(`${n}-0`))
    dispatcher.pump()
    expect(started).toEqual(['1-0', '2-0'])
    expect(dispatcher.waiting).toBe(2)
  })

  it('lets other things happen between handlers that never wait', async () => {
    let handled = 0
    let handledAtTimer: number | undefined
    const { dispatcher } = bench(() => {
      handled++
      const endMs = performance.now() + 3
      while (performance.now() < endMs);
    })
    for (let n = 1; n <= 100; n++) dispatcher.enqueue(ready(`${n}-0`))
    setImmediate(() => {
      handledAtTimer = handled
    })
    dispatcher.pump()
    await new Promise<void>((resolve) => {
      const look = (): void => {
        if (handled === 100) resolve()
        else setImmediate(look)
      }
      look()
    })
    expect(handledAtTimer).toBeLessThan(20)
  })

  it('does not start an event again before its lost run has settled, and not at all if that succeeded', async () => {
    for (const succeeds of [true, false]) {
      const gate = Promise.withResolvers<void>()
      let starts = 0
      const { dispatcher, finished, finishedLost } = bench(async () => {
        starts++
        if (starts === 1) await gate.promise
      })
      const lost = ready('1-0')
      dispatcher.enqueue(lost)
      dispatcher.pump()
      dispatcher.disown(new Error('the lease is lost'))
      const again = ready('1-0')
      dispatcher.enqueue(again)
      dispatcher.pump()
      expect(starts).toBe(1)
      if (succeeds) gate.resolve()
      else gate.reject(new Error('interrupted'))
      await gate.promise.catch(() => undefined)
      await new Promise((resolve) => {
        setImmediate(resolve)
      })
      expect(starts).toBe(succeeds ? 1 : 2)
      expect(finished).toEqual([[again, { kind: 'done' }]])
      // Each run is told of once, with the time at which it began.
      expect(finishedLost).toEqual([[lost, succeeds ? undefined : { kind: 'interrupted' }]])
      expect(again.startedMs > 0 && again.startedMs === lost.startedMs).toBe(succeeds)
      dispatcher.close()
    }
  })

  it('takes whatever a handler returns that has a then', async () => {
    const { dispatcher, finished } = bench(() => ({
      // oxlint-disable-next-line unicorn/no-thenable -- Handlers may return one.
      then: (resolve: () => void) => {
        queueMicrotask(resolve)
      },
    }))
    dispatcher.enqueue(ready('1-0'))
    dispatcher.pump()
    expect(finished).toEqual([])
    await new Promise((resolve) => {
      setImmediate(resolve)
    })
    expect(finished).toMatchObject([[{ id: '1-0' }, { kind: 'done' }]])
    dispatcher.close()
  })
})
