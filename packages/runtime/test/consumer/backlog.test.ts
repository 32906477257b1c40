import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Backlog, type Entry } from '../../src/consumer/backlog.ts'
import { inRanges } from '../../src/consumer/ranges.ts'
import type { Decoded } from '../../src/stream/event.ts'
import { compareIds, FIRST_ID } from '../../src/stream/stream-id.ts'

function idOf(n: number): string {
  return `1000-${n}`
}

/** An event that could not be decoded is one all the same: the backlog looks at ids only. */
function received(n: number): Decoded<number> {
  return { ok: false, id: idOf(n), error: new Error('not decoded'), bytes: 10 }
}

/** What may happen to a backlog, as numbers that choose among what is possible at that moment. */
const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('receive' as const),
      count: fc.integer({ min: 1, max: 5 }),
    }),
  },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('start' as const), pick: fc.nat() }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('settle' as const), pick: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('fail' as const), pick: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('due' as const), pick: fc.nat() }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('reread' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('store' as const) }) },
)

/** A backlog and what a naive reader of the stream knows: which events exist and which are done. */
class Model {
  readonly backlog: Backlog<number>
  readonly done = new Set<number>()
  /** Entries that a hand-out would have, by event. */
  readonly handed = new Map<number, Entry<number>>()
  /** The number of the event that is received next. */
  next = 1
  greatest = 0
  stored = FIRST_ID

  constructor(doneBefore: ReadonlySet<number>) {
    this.backlog = new Backlog<number>(FIRST_ID, 0, (id) => doneBefore.has(Number(id.slice(5))))
    for (const n of doneBefore) this.done.add(n)
  }

  receive(count: number): void {
    for (let i = 0; i < count; i++) {
      const n = this.next++
      this.greatest = Math.max(this.greatest, n)
      const entry = this.backlog.receive(received(n), 0, 0)
      if (entry !== undefined) this.handed.set(n, entry)
    }
  }

  pick(phase: Entry<number>['phase'], choice: number): [number, Entry<number>] | undefined {
    const possible = [...this.handed].filter(([, entry]) => entry.phase === phase)
    return possible[choice % Math.max(possible.length, 1)]
  }

  reread(): void {
    // As the hand-out does: what was not started is forgotten.
    for (const [n, entry] of this.handed) if (entry.phase === 'queued') this.handed.delete(n)
    this.backlog.prepareReread()
    this.next = Number(this.backlog.watermark.slice(this.backlog.watermark.indexOf('-') + 1)) + 1
  }

  check(): void {
    const { backlog } = this
    const ranges = backlog.ranges()
    for (let n = 1; n <= this.greatest; n++) {
      const passed = compareIds(idOf(n), backlog.watermark) <= 0
      // What is read again counts once it has come again.
      const isSeen = n < this.next
      if (passed) expect(this.done.has(n), `${n} is done`).toBe(true)
      else if (isSeen) expect(inRanges(ranges, idOf(n)), `${n} in ranges`).toBe(this.done.has(n))
      else expect(inRanges(ranges, idOf(n)), `${n} in ranges`).toBe(false)
    }
  }
}

describe('A backlog', () => {
  it('never lets the watermark pass an event that is not done', () => {
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 120 }),
        fc.uniqueArray(fc.integer({ min: 1, max: 40 })),
        (steps, before) => {
          const model = new Model(new Set(before))
          for (const one of steps) {
            if (one.do === 'receive') model.receive(one.count)
            if (one.do === 'reread') model.reread()
            if (one.do === 'store') {
              model.stored = model.backlog.watermark
              model.backlog.stored(model.stored)
              expect(model.backlog.passedCount).toBe(0)
            }
            if (one.do === 'start') {
              const picked = model.pick('queued', one.pick)
              if (picked !== undefined) picked[1].phase = 'running'
            }
            if (one.do === 'fail') {
              const picked = model.pick('running', one.pick)
              if (picked !== undefined) picked[1].phase = 'held'
            }
            if (one.do === 'due') {
              const picked = model.pick('held', one.pick)
              if (picked !== undefined) picked[1].phase = 'queued'
            }
            if (one.do === 'settle') {
              const picked = model.pick('running', one.pick)
              if (picked !== undefined) {
                model.done.add(picked[0])
                model.backlog.settle(picked[1])
              }
            }
            model.check()
          }
        },
      ),
      { numRuns: 400 },
    )
  })

  it('lets everything be done in the end, whatever was read again meanwhile', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const model = new Model(new Set())
        for (const one of steps) {
          if (one.do === 'receive') model.receive(one.count)
          if (one.do === 'reread') model.reread()
          const wanted = { start: 'queued', fail: 'running', due: 'held' } as const
          const becomes = { start: 'running', fail: 'held', due: 'queued' } as const
          if (one.do === 'start' || one.do === 'fail' || one.do === 'due') {
            const picked = model.pick(wanted[one.do], one.pick)
            if (picked !== undefined) picked[1].phase = becomes[one.do]
          }
        }
        model.receive(Math.max(model.greatest - model.next + 1, 1))
        for (const entry of model.handed.values()) model.backlog.settle(entry)
        expect(model.backlog.watermark).toBe(idOf(model.greatest))
        expect(model.backlog.size).toBe(0)
        expect(model.backlog.index).toBe(model.greatest)
      }),
      { numRuns: 400 },
    )
  })

  it('keeps events that were started when it reads again, and hands out the others anew', () => {
    const backlog = new Backlog<number>(FIRST_ID, undefined, () => false)
    const entries = [1, 2, 3, 4].map((n) => backlog.receive(received(n), 0, 0))
    const [first, second, third] = entries
    if (first === undefined || second === undefined || third === undefined)
      throw new Error('not handed out')
    first.phase = 'running'
    backlog.settle(second)
    third.phase = 'held'
    backlog.prepareReread()
    expect([1, 2, 3, 4].map((n) => backlog.receive(received(n), 0, 0)?.id)).toEqual([
      undefined,
      undefined,
      undefined,
      idOf(4),
    ])
    backlog.settle(first)
    expect(backlog.watermark).toBe(idOf(2))
    expect(backlog.hasProcessed(idOf(1))).toBe(true)
    expect(backlog.hasProcessed(idOf(3))).toBe(false)
  })

  it('hands out again an event that became due while it was being read again, and then again', () => {
    const backlog = new Backlog<number>(FIRST_ID, undefined, () => false)
    const entry = backlog.receive(received(1), 0, 0)
    if (entry === undefined) throw new Error('not handed out')
    entry.phase = 'held'
    backlog.prepareReread()
    // Its wait is over: it lines up again, and the second interruption takes it out of the line.
    entry.phase = 'queued'
    backlog.prepareReread()
    expect(backlog.receive(received(1), 0, 0)?.id).toBe(idOf(1))
  })
})
