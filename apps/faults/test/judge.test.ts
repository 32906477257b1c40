import { describe, expect, test } from 'vitest'
import type { Order, ReaderName } from '../src/cast/parts.ts'
import { firstNumber } from '../src/load.ts'
import type { JournalEntry } from '../src/proof/journal.ts'
import { type Account, judge, narrowed, type ReaderAccount } from '../src/proof/judge.ts'

describe('the judge', () => {
  test('finds nothing wrong where every event is stored and reached every reader in order', () => {
    const events = [event(1), event(2), event(3)]
    const readers = [reader('ledger', 'stream', events), reader('mail', 'none', events)]
    expect(judge(account({ accepted: events, stored: [1, 2, 3], readers }))).toEqual({
      events: 3,
      lost: 0,
      outOfOrder: 0,
      duplicates: 0,
      removed: 0,
      forgotten: 0,
      storedTwice: 0,
      deadLettered: 0,
      missing: [],
    })
  })

  test('counts an event as lost that one reader lacks, and says who', () => {
    const events = [event(1), event(2)]
    const readers = [reader('ledger', 'stream', [event(1)]), reader('mail', 'none', events)]
    const verdict = judge(account({ accepted: events, stored: [1, 2], readers }))
    expect(verdict).toMatchObject({ events: 2, lost: 1 })
    expect(verdict.missing).toEqual([{ number: 2, reader: 'ledger', acceptedAtMs: 2 }])
  })

  test('counts an event once however many readers lack it', () => {
    const readers = [reader('ledger', 'stream', []), reader('mail', 'none', [])]
    expect(judge(account({ accepted: [event(1)], stored: [1], readers })).lost).toBe(1)
  })

  test('takes a dead letter for an event that is accounted for', () => {
    const readers = [{ ...reader('mail', 'none', []), deadLettered: new Set([1]) }]
    const verdict = judge(account({ accepted: [event(1)], stored: [1], readers }))
    expect(verdict).toMatchObject({ lost: 0, deadLettered: 1 })
  })

  test('counts an accepted event that is missing from the stream as lost, even if all readers had it', () => {
    const readers = [reader('mail', 'none', [event(1)])]
    const verdict = judge(account({ accepted: [event(1)], stored: [], readers }))
    expect(verdict.lost).toBe(1)
    expect(verdict.missing).toMatchObject([{ reader: 'stream' }])
  })

  test('does not count what was never accepted', () => {
    const readers = [reader('mail', 'none', [event(1), event(9)])]
    expect(judge(account({ accepted: [event(1)], stored: [1, 9], readers }))).toMatchObject({
      events: 1,
      lost: 0,
    })
  })

  test('counts events that are stored twice', () => {
    const readers = [reader('mail', 'none', [event(1)])]
    expect(judge(account({ accepted: [event(1)], stored: [1, 1], readers })).storedTwice).toBe(1)
  })
})

describe('order', () => {
  test('is judged by first deliveries: an event that comes again is a duplicate', () => {
    const handled = [event(1, 10), event(2, 20), event(1, 30), event(3, 40)]
    expect(verdictOn('stream', [handled])).toMatchObject({ outOfOrder: 0, duplicates: 1 })
  })

  test('is broken by a first delivery after a later event', () => {
    expect(verdictOn('stream', [[event(1, 10), event(3, 20), event(2, 30)]])).toMatchObject({
      outOfOrder: 1,
    })
  })

  test('is judged over all processes of a reader by time', () => {
    const before = [event(1, 10), event(3, 30)]
    const late = [event(2, 40)]
    const inTime = [event(2, 20)]
    expect(verdictOn('stream', [before, late]).outOfOrder).toBe(1)
    expect(verdictOn('stream', [before, inTime]).outOfOrder).toBe(0)
  })

  test('holds within a key where that is what is promised', () => {
    const otherKey = [event(2, 10), event(1, 20)]
    expect(verdictOn('key', [otherKey]).outOfOrder).toBe(0)
    const sameKey = [event(17, 10), event(1, 20)]
    expect(verdictOn('key', [sameKey]).outOfOrder).toBe(1)
  })

  test('is not promised between two producer processes, nor to a group', () => {
    const runs = [event(firstNumber(2), 10), event(firstNumber(1), 20)]
    expect(verdictOn('stream', [runs]).outOfOrder).toBe(0)
    expect(verdictOn('none', [[event(2, 10), event(1, 20)]]).outOfOrder).toBe(0)
  })

  test('is promised between producer processes that share a spool', () => {
    const runs = [event(firstNumber(2), 10), event(firstNumber(1), 20)]
    expect(verdictOn('stream', [runs], true).outOfOrder).toBe(1)
    expect(verdictOn('none', [runs], true).outOfOrder).toBe(0)
  })
})

describe('excuses', () => {
  const readers = [reader('ledger', 'stream', [event(1)])]

  test('cover what was under way while a fault took events out of the stream', () => {
    const excuses = [{ why: 'removed', fromMs: 2, toMs: 5 } as const]
    const verdict = judge(
      account({ accepted: [event(1), event(2)], stored: [1], readers, excuses }),
    )
    expect(verdict).toMatchObject({ lost: 0, removed: 1 })
  })

  test('let a fault take out what everybody has had, whenever that was accepted', () => {
    const excuses = [{ why: 'removed', fromMs: 2, toMs: 5 } as const]
    const verdict = judge(account({ accepted: [event(1)], stored: [], readers, excuses }))
    expect(verdict).toMatchObject({ lost: 0, removed: 0 })
    const later = [reader('ledger', 'stream', [event(6)])]
    const unexplained = account({ accepted: [event(6)], stored: [], readers: later, excuses })
    expect(judge(unexplained).lost).toBe(1)
  })

  test('do not cover what was accepted before or published afterwards', () => {
    for (const window of [
      { fromMs: 3, toMs: 5 },
      { fromMs: 0, toMs: 1 },
    ]) {
      const excuses = [{ why: 'removed', ...window } as const]
      const accepted = [event(1), event(2)]
      expect(judge(account({ accepted, stored: [1], readers, excuses })).lost).toBe(1)
    }
  })

  test('do not cover an event that is in the stream', () => {
    const excuses = [{ why: 'removed', fromMs: 0, toMs: 9 } as const]
    const accepted = [event(1), event(2)]
    expect(judge(account({ accepted, stored: [1, 2], readers, excuses })).lost).toBe(1)
  })

  test('tell apart what Redis itself lost, whether or not readers had it', () => {
    const excuses = [{ why: 'forgotten', fromMs: 0, toMs: 9 } as const]
    const verdict = judge(account({ accepted: [event(1), event(2)], stored: [], readers, excuses }))
    expect(verdict).toMatchObject({ lost: 0, forgotten: 2, removed: 0 })
  })
})

test('an account can be narrowed to the events that were accepted in a window', () => {
  const accepted = [event(1), event(2), event(3)]
  const readers = [reader('ledger', 'stream', [event(1), event(1), event(3)])]
  const whole = account({ accepted, stored: [1, 2, 3], readers })
  expect(judge(narrowed(whole, 2, 4))).toMatchObject({ events: 2, lost: 1, duplicates: 0 })
  expect(judge(narrowed(whole, 1, 2))).toMatchObject({ events: 1, lost: 0, duplicates: 1 })
})

function event(number: number, atMs = number): JournalEntry {
  return { number, publishedAtMs: number, atMs }
}

function reader(
  name: ReaderName,
  order: Order,
  deliveries: readonly JournalEntry[],
): ReaderAccount {
  return { reader: name, order, deliveries: [deliveries], deadLettered: new Set() }
}

function account(given: Omit<Account, 'excuses' | 'inOrderOverRuns'> & Partial<Account>): Account {
  return { excuses: [], inOrderOverRuns: false, ...given }
}

function verdictOn(order: Order, deliveries: ReaderAccount['deliveries'], inOrderOverRuns = false) {
  const accepted = deliveries.flat()
  const stored = [...new Set(accepted.map(({ number }) => number))]
  const readers = [
    { reader: 'ledger', order, deliveries, deadLettered: new Set<number>() } as const,
  ]
  return judge(account({ accepted, stored, readers, inOrderOverRuns }))
}
