import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { resolveBackoff } from '../../src/delivery/retry-schedule.ts'
import { UnrecoverableError } from '../../src/delivery/unrecoverable.ts'
import { holdTarget, LARGEST_READ, largestSeen, Pace, readCount } from '../../src/group/credit.ts'
import { dueAfterClaimMs, idleAtReleaseMs, waitBeforeMs } from '../../src/group/due.ts'
import { DueQueue } from '../../src/group/due-queue.ts'
import { Held, Holdings } from '../../src/group/held.ts'
import { parseMemberRecord } from '../../src/group/member-record.ts'
import { ReadyQueue } from '../../src/group/ready-queue.ts'
import { compareHoldings, CountAlarm } from '../../src/group/reconcile.ts'
import { isExhausted, judgeOutcome } from '../../src/group/verdict.ts'

const origin = { redelivered: false, quarantined: false }
const heldOf = (id: string): Held => new Held(id, 'ready', 1, 0, origin)

describe('credit', () => {
  const figures = fc.record({
    held: fc.nat(3_000),
    heldBytes: fc.nat(20_000_000),
    parked: fc.nat(2_000),
    target: fc.integer({ min: 1, max: 2_000 }),
    maxBytes: fc.integer({ min: 1, max: 10_000_000 }),
    maxParked: fc.integer({ min: 1, max: 1_000 }),
    largestBytes: fc.integer({ min: 1, max: 1_000_000 }),
  })

  it('never lets a member hold more than its target, nor more bytes than allowed but for one event', () => {
    fc.assert(
      fc.property(figures, (f) => {
        const count = readCount(f)
        expect(count).toBeGreaterThanOrEqual(0)
        expect(count).toBeLessThanOrEqual(LARGEST_READ)
        if (count === 0) return
        expect(f.parked).toBeLessThan(f.maxParked)
        expect(f.held + count).toBeLessThanOrEqual(f.target)
        const oneAlone = count === 1 && f.held === 0
        expect(oneAlone || f.heldBytes + count * f.largestBytes <= f.maxBytes).toBe(true)
      }),
    )
  })

  it('always lets an empty member read, whatever the size of events', () => {
    fc.assert(
      fc.property(figures, (f) => readCount({ ...f, held: 0, heldBytes: 0, parked: 0 }) >= 1),
    )
  })

  it('waits until a read is worth a round trip', () => {
    const full = { heldBytes: 0, parked: 0, maxBytes: 1e6, maxParked: 10, largestBytes: 1 }
    expect(readCount({ ...full, target: 100, held: 76 })).toBe(0)
    expect(readCount({ ...full, target: 100, held: 75 })).toBe(25)
    expect(readCount({ ...full, target: 2, held: 1 })).toBe(1)
  })

  it('holds little for slow handlers and more for quick ones, never more than asked for', () => {
    expect(holdTarget(16, 0, 2_000)).toBe(32)
    expect(holdTarget(16, 0.01, 2_000)).toBe(32)
    expect(holdTarget(16, 20, 2_000)).toBe(516)
    expect(holdTarget(16, 1_000, 2_000)).toBe(2_000)
    expect(holdTarget(16, 1_000, 16)).toBe(16)
    expect(holdTarget(1, 0, 1)).toBe(1)
  })

  it('knows the pace of a member that had nothing to do for a while', () => {
    const pace = new Pace()
    pace.sample(0, 0, true)
    pace.sample(100, 10, false)
    expect(pace.perMs).toBeCloseTo(10)
    pace.sample(100, 10_000, true)
    expect(pace.perMs).toBeCloseTo(10)
    pace.sample(120, 10_010, false)
    expect(pace.perMs).toBeCloseTo(6)
  })

  it('follows the largest event up at once and down slowly', () => {
    expect(largestSeen(100, 5_000)).toBe(5_000)
    expect(largestSeen(5_000, 100)).toBe(4_500)
  })
})

describe('the queue of due entries', () => {
  it('gives them in the order of their due times, and none before', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(1_000)), fc.nat(1_000), (dues, nowMs) => {
        const queue = new DueQueue()
        for (const [i, dueMs] of dues.entries()) {
          const held = heldOf(String(i))
          held.dueMs = dueMs
          queue.push(held)
        }
        const taken: number[] = []
        for (let held = queue.takeDue(nowMs); held !== undefined; held = queue.takeDue(nowMs)) {
          taken.push(held.dueMs)
        }
        expect(taken).toEqual(dues.filter((ms) => ms <= nowMs).toSorted((a, b) => a - b))
        expect(queue.size).toBe(dues.length - taken.length)
        const later = dues.filter((ms) => ms > nowMs)
        expect(queue.nextMs).toBe(
          later.length === 0 ? Number.POSITIVE_INFINITY : Math.min(...later),
        )
      }),
    )
  })
})

describe('the queue of ready entries', () => {
  it('is first in, first out', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean()), (pushes) => {
        const queue = new ReadyQueue()
        const model: string[] = []
        for (const [i, push] of pushes.entries()) {
          if (push) queue.push(heldOf(String(i)))
          if (push) model.push(String(i))
          const taken = push ? undefined : queue.take()?.id
          expect(taken).toBe(push ? undefined : model.shift())
          expect(queue.size).toBe(model.length)
        }
        expect(queue.empty().map(({ id }) => id)).toEqual(model)
        expect(queue.size).toBe(0)
      }),
    )
  })
})

describe('the account of what a member holds', () => {
  it('adds up after any sequence of changes', () => {
    const step = fc.record({
      id: fc.nat(5),
      to: fc.constantFrom('add', 'park', 'unpark', 'settle', 'drop'),
    })
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        const holdings = new Holdings()
        for (const { id, to } of steps) {
          const held = holdings.get(String(id))
          if (to === 'add' && held === undefined) {
            const fresh = heldOf(String(id))
            fresh.bytes = 10
            holdings.add(fresh)
          }
          if (held === undefined) continue
          if (to === 'park' && held.phase !== 'parked') holdings.park(held)
          if (to === 'unpark' && held.phase === 'parked') holdings.unpark(held, [], 10)
          if (to === 'settle') holdings.settle(held)
          if (to === 'drop') holdings.drop(held)
        }
        const all = [...holdings.all()]
        const count = (phase: string): number => all.filter((held) => held.phase === phase).length
        expect(holdings.size).toBe(all.length)
        expect(holdings.parked).toBe(count('parked'))
        expect(holdings.settling).toBe(count('settling'))
        expect(holdings.active).toBe(all.length - count('parked'))
        expect(holdings.bytes).toBe(all.reduce((sum, held) => sum + held.bytes, 0))
      }),
    )
  })
})

describe('the verdict after an attempt', () => {
  const policy = { maxAttempts: 3, onExhausted: 'dead-letter', onInvalid: 'skip' } as const
  const failed = { kind: 'failed', error: new Error('x') } as const

  it('retries until the attempts are used up', () => {
    expect([1, 2, 3].map((n) => judgeOutcome(failed, n, policy).action)).toEqual([
      'retry',
      'retry',
      'dead-letter',
    ])
    expect([1, 3, 4].map((n) => isExhausted(n, policy))).toEqual([false, false, true])
  })

  it('does not retry what is unrecoverable or invalid, and follows the owner’s choice', () => {
    const hopeless = { kind: 'failed', error: new UnrecoverableError('x') } as const
    expect(judgeOutcome(hopeless, 1, policy)).toMatchObject({
      action: 'dead-letter',
      reason: 'unrecoverable',
    })
    expect(judgeOutcome(hopeless, 1, { ...policy, onExhausted: 'stop' })).toMatchObject({
      action: 'stop',
    })
    const invalid = { kind: 'invalid', error: new Error('x') } as const
    expect(judgeOutcome(invalid, 1, policy)).toEqual({ action: 'ack' })
    expect(judgeOutcome(invalid, 1, { ...policy, onInvalid: 'dead-letter' })).toMatchObject({
      reason: 'invalid',
    })
  })

  it('does not count an attempt that was interrupted', () => {
    expect(judgeOutcome({ kind: 'interrupted' }, 3, policy)).toEqual({ action: 'again' })
  })
})

describe('due times', () => {
  it('survive any number of hand-overs', () => {
    const backoff = resolveBackoff({ firstMs: 100, greatestMs: 60_000, jitter: 0.5 }, [])
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 12 }),
        fc.array(fc.integer({ min: 0, max: 50 })),
        (attempt, stays) => {
          const id = '1700000000000-7'
          const waitMs = waitBeforeMs(id, attempt, backoff)
          let nowMs = 0
          let dueMs = waitMs
          for (const stayMs of stays) {
            nowMs += stayMs
            const idleMs = idleAtReleaseMs({ id, attempt }, dueMs - nowMs, backoff)
            dueMs = dueAfterClaimMs({ id, attempt, idleMs }, nowMs, backoff)
          }
          // One that was due already is due at once, any other one when it always was.
          expect(dueMs).toBe(Math.max(waitMs, waitMs <= nowMs ? nowMs : 0))
        },
      ),
    )
  })
})

describe('reconciliation', () => {
  it('tells lost replies from lost entries, and leaves alone what is being settled', () => {
    const holdings = new Holdings()
    const [running, settling, known] = [heldOf('1-0'), heldOf('2-0'), heldOf('3-0')]
    for (const held of [running, settling, known]) holdings.add(held)
    holdings.settle(settling)
    const before = [...holdings.all()]
    holdings.add(heldOf('4-0'))
    const pending = ['3-0', '9-0'].map((id) => ({ id, idleMs: 0, attempt: 1 }))
    const { unknown, missing } = compareHoldings(pending, before, holdings)
    expect(unknown.map(({ id }) => id)).toEqual(['9-0'])
    expect(missing).toEqual([running])
  })

  it('compares only after two differences in a row, and less often when it finds nothing', () => {
    const alarm = new CountAlarm()
    expect([
      alarm.look(5, 1, 4),
      alarm.look(4, 1, 4),
      alarm.look(5, 1, 4),
      alarm.look(0, 1, 4),
    ]).toEqual([false, false, false, true])
    alarm.compared(false)
    const looks = (): number => {
      for (let n = 1; ; n++) if (alarm.look(9, 1, 4)) return n
    }
    const gaps = [1, 2, 3].map(() => {
      const n = looks()
      alarm.compared(false)
      return n
    })
    expect(gaps).toEqual([2, 4, 8])
    expect(looks()).toBe(16)
    alarm.compared(true)
    expect(looks()).toBe(2)
  })
})

describe('a member record', () => {
  it('is read as it was written, and anything else is none', () => {
    const text = '12-ab|7|4000|live|boot pid:[1] time:[2] 42 99'
    expect(parseMemberRecord(text)).toEqual({
      token: '12-ab',
      beat: 7,
      leaseMs: 4_000,
      standing: 'live',
      detail: 'boot pid:[1] time:[2] 42 99',
      text,
    })
    for (const bad of ['', '1|2|3|live', '1|x|3|live|', '1|2|3|dead|']) {
      expect(parseMemberRecord(bad)).toBeUndefined()
    }
  })
})
