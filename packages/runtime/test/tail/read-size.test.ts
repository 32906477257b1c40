import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { initialPace, paceAfterRead, waitBeforeRead, waitAtServer } from '../../src/tail/pacing.ts'
import { ReadAhead } from '../../src/tail/read-ahead.ts'
import { largestAfterRead, pageCount, tailCount } from '../../src/tail/read-size.ts'

describe('The size of a read', () => {
  it('keeps a reply within the budget', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 65_536, max: 2 ** 30 }),
        fc.integer({ min: 1, max: 5_000 }),
        fc.integer({ min: 1, max: 2 ** 20 }),
        (budgetBytes, streams, largestBytes) => {
          const count = tailCount(budgetBytes, streams, largestBytes)
          expect(count).toBeGreaterThanOrEqual(1)
          expect(count).toBeLessThanOrEqual(500)
          // One event of each stream is the least that a read can ask for.
          if (count > 1) expect(count * streams * largestBytes).toBeLessThanOrEqual(budgetBytes)
        },
      ),
    )
  })

  it('starts pages small, and lets them grow to a megabyte', () => {
    expect(pageCount(undefined, 1_000)).toBe(16)
    expect(pageCount(200, 1_000)).toBe(500)
    expect(pageCount(256 * 1024, 1_000)).toBe(4)
    expect(pageCount(100 * 1024 * 1024, 1_000)).toBe(1)
  })

  it('remembers a great event for a while', () => {
    let largest = largestAfterRead(256, 1_000_000)
    expect(largest).toBe(1_000_000)
    for (let read = 0; read < 100; read++) largest = largestAfterRead(largest, 100)
    expect(largest).toBeGreaterThan(900_000)
    for (let read = 0; read < 20_000; read++) largest = largestAfterRead(largest, 100)
    expect(largest).toBe(100)
  })
})

describe('The pace of the tail', () => {
  function paceOf(eventsPerSecond: number, seconds = 5): ReturnType<typeof initialPace> {
    const everyMs = 1_000 / eventsPerSecond
    let pace = initialPace(0)
    for (let nowMs = everyMs; nowMs <= seconds * 1_000; nowMs += everyMs)
      pace = paceAfterRead(pace, 1, nowMs)
    return pace
  }

  it('never delays an event that comes alone', () => {
    expect(waitBeforeRead(initialPace(0), 25, 1)).toBe(0)
    expect(waitBeforeRead(paceOf(10), 25, 1)).toBe(0)
    expect(waitBeforeRead(paceOf(30), 25, 1)).toBe(0)
  })

  it('waits within the budget when events are frequent, and not at all without a budget', () => {
    expect(waitBeforeRead(paceOf(200), 25, 1)).toBe(25)
    expect(waitBeforeRead(paceOf(200), 0, 1)).toBe(0)
    const fast = waitBeforeRead(paceOf(1_000), 25, 1)
    expect(fast).toBeGreaterThan(10)
    expect(fast).toBeLessThanOrEqual(25)
  })

  it('does not wait where reads fill up by themselves', () => {
    expect(waitBeforeRead(paceAfterRead(initialPace(0), 50_000, 1_001), 25, 1)).toBe(0)
  })

  it('leaves waiting to the server only after many prompt reads, which bursts never bring', () => {
    let pace = initialPace(0)
    let nowMs = 0
    const readAfter = (ms: number): void => {
      nowMs += ms
      pace = paceAfterRead(pace, 5, nowMs, 25)
    }
    for (let read = 0; read < 127; read++) readAfter(26)
    expect(waitAtServer(pace, 25)).toBe(0)
    readAfter(26)
    // Five events in 26 ms: the next one comes within 6 ms and lets the server see that the time is over.
    expect(waitAtServer(pace, 25)).toBe(19)
    expect(waitAtServer(pace, 8)).toBe(0)
    readAfter(80)
    expect(waitAtServer(pace, 25)).toBe(0)
    for (let burst = 0; burst < 20; burst++) {
      for (let read = 0; read < 40; read++) readAfter(26)
      readAfter(500)
      expect(waitAtServer(pace, 25)).toBe(0)
    }
  })

  it('never leaves waiting to the server without a wait', () => {
    let pace = initialPace(0)
    for (let nowMs = 5; nowMs < 5_000; nowMs += 5) pace = paceAfterRead(pace, 1, nowMs, 0)
    expect(waitAtServer(pace, 25)).toBe(0)
  })

  it('never waits longer than the budget, but for the least that many streams ask', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 1, max: 500 }), fc.integer({ min: 0, max: 3_000 })), {
          maxLength: 50,
        }),
        fc.integer({ min: 0, max: 1_000 }),
        fc.integer({ min: 1, max: 500 }),
        (reads, budgetMs, streams) => {
          let pace = initialPace(0)
          let nowMs = 0
          for (const [events, gap] of reads) {
            nowMs += gap
            pace = paceAfterRead(pace, events, nowMs)
          }
          const waitMs = waitBeforeRead(pace, budgetMs, streams)
          expect(waitMs).toBeGreaterThanOrEqual(0)
          expect(waitMs).toBeLessThanOrEqual(Math.max(budgetMs, streams > 128 ? 10 : 0))
        },
      ),
    )
  })
})

describe('The read-ahead budget', () => {
  it('makes whoever wants more than its first page wait until there is room, and then tells it', () => {
    const budget = new ReadAhead(100)
    const told: string[] = []
    budget.hold(100)
    expect(budget.admits(50, () => told.push('room'))).toBe(false)
    budget.release(40)
    expect(told).toEqual(['room'])
    expect(budget.admits(50, () => undefined)).toBe(true)
  })

  it('admits whoever holds nothing, so that those who do not let go cannot starve it', () => {
    const budget = new ReadAhead(100)
    budget.hold(1_000)
    expect(budget.admits(0, () => undefined)).toBe(true)
  })
})
