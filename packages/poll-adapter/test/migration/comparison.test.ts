import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Change } from '../../src/change/change.ts'
import { Comparison } from '../../src/migration/comparison.ts'

const WINDOW_MS = 1_000

function change(key: string, version: number, more: Partial<Change> = {}): Change {
  return {
    key,
    id: `${key}@${version}`,
    cursor: version,
    deleted: false,
    hash: `${key}-${version}`,
    ...more,
  }
}

function comparison(latestOnly = false): Comparison {
  return new Comparison({ windowMs: WINDOW_MS, latestOnly })
}

describe('a comparison', () => {
  it('counts what came both ways, and by how much the stream was earlier', () => {
    const compare = comparison()
    for (let i = 0; i < 100; i++) {
      compare.saw('stream', change('a', i), i * 10)
      compare.saw('poll', change('a', i), i * 10 + (i === 50 ? 900 : 200))
    }
    compare.sweep(10_000)
    expect(compare.report()).toMatchObject({
      matched: 100,
      onlyPoll: 0,
      onlyStream: 0,
      outOfOrder: 0,
      open: 0,
      earlierMs: { p50: 200, p99: 900 },
    })
  })

  it('waits a whole window before it says that a change is missing', () => {
    const compare = comparison()
    compare.saw('stream', change('a', 1), 0)
    compare.saw('poll', change('b', 1), 0)
    compare.saw('stream', change('c', 1, { deleted: true }), 0)
    compare.sweep(WINDOW_MS - 1)
    expect(compare.report()).toMatchObject({ onlyPoll: 0, onlyStream: 0, open: 3 })
    compare.sweep(WINDOW_MS)
    expect(compare.report()).toMatchObject({
      onlyPoll: 1,
      onlyStream: 2,
      deletesOnlyStream: 1,
      open: 0,
    })
  })

  it('calls late what comes after the window, and takes back that it was missing', () => {
    const compare = comparison()
    compare.saw('stream', change('a', 1), 0)
    compare.sweep(WINDOW_MS)
    compare.saw('poll', change('a', 1), WINDOW_MS * 3)
    expect(compare.report()).toMatchObject({ matched: 1, late: 1, onlyStream: 0 })
  })

  it('finds changes of one item in another order, and does not mind those of different items', () => {
    const compare = comparison()
    for (const one of [change('a', 1), change('b', 1), change('a', 2)])
      compare.saw('stream', one, 0)
    for (const one of [change('b', 1), change('a', 2), change('a', 1)]) compare.saw('poll', one, 1)
    expect(compare.report()).toMatchObject({ matched: 3, outOfOrder: 1 })
    expect(compare.report().examples).toEqual([{ what: 'out-of-order', change: 'a@1' }])
  })

  it('finds that the same change has another value', () => {
    const compare = comparison()
    compare.saw('stream', change('a', 1), 0)
    compare.saw('poll', change('a', 1, { hash: 'other' }), 1)
    expect(compare.report()).toMatchObject({ matched: 1, differing: 1 })
  })

  it('does not call missing what was overtaken, where the source shows only the latest', () => {
    const compare = comparison(true)
    for (const one of [change('a', 1), change('a', 2)]) compare.saw('stream', one, 0)
    compare.saw('poll', change('a', 2), 1)
    compare.sweep(WINDOW_MS)
    expect(compare.report()).toMatchObject({ matched: 1, superseded: 1, onlyStream: 0 })
  })

  it('goes on counting where an earlier one stopped', () => {
    const first = comparison()
    first.saw('poll', change('a', 1), 0)
    first.sweep(WINDOW_MS)
    const second = new Comparison({ windowMs: WINDOW_MS, latestOnly: false }, first.report())
    second.saw('poll', change('b', 1), 0)
    second.sweep(WINDOW_MS)
    expect(second.report()).toMatchObject({ onlyPoll: 2 })
  })

  it('accounts for every change exactly once, however they come', () => {
    const sighting = fc.record({
      side: fc.constantFrom('poll' as const, 'stream' as const),
      key: fc.constantFrom('a', 'b', 'c'),
      version: fc.integer({ min: 1, max: 8 }),
      // Altogether too short for a change to be forgotten, which would then count again.
      afterMs: fc.integer({ min: 0, max: 300 }),
    })
    fc.assert(
      fc.property(fc.array(sighting, { maxLength: 60 }), fc.boolean(), (sightings, latestOnly) => {
        const compare = comparison(latestOnly)
        const sides = new Map<string, Set<string>>()
        let nowMs = 0
        for (const { side, key, version, afterMs } of sightings) {
          nowMs += afterMs
          const one = change(key, version)
          sides.set(one.id, (sides.get(one.id) ?? new Set()).add(side))
          compare.saw(side, one, nowMs)
          compare.sweep(nowMs)
        }
        compare.sweep(nowMs + WINDOW_MS)
        const { matched, onlyPoll, onlyStream, superseded, open } = compare.report()
        const both = [...sides.values()].filter((set) => set.size === 2).length
        expect(matched).toBe(both)
        expect(matched + onlyPoll + onlyStream + superseded).toBe(sides.size)
        expect(open).toBe(0)
      }),
    )
  })
})
