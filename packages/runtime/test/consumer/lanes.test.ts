import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Entry } from '../../src/consumer/backlog.ts'
import { Lanes } from '../../src/consumer/lanes.ts'

function entry(n: number): Entry<number> {
  return {
    id: `1-${n}`,
    bytes: 1,
    receivedMs: 0,
    decoded: undefined,
    phase: 'queued',
    attempts: 0,
    counted: false,
    heldSinceMs: 0,
    after: undefined,
    afterInLane: undefined,
  }
}

const step = fc.record({
  do: fc.constantFrom('add', 'add', 'next', 'next', 'done', 'done', 'hold', 'unhold', 'drop'),
  key: fc.constantFrom('a', 'b', 'c', 'd'),
  pick: fc.nat(),
})

describe('Lanes', () => {
  it('keep the order of each key, one at a time, and never more turns than allowed', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4 }),
        fc.array(step, { maxLength: 200 }),
        (concurrency, steps) => {
          const lanes = new Lanes<number>(concurrency)
          const running = new Map<string, Entry<number>>()
          const held = new Map<string, Entry<number>>()
          const waiting = new Map<string, Entry<number>[]>()
          let n = 0
          for (const { do: what, key, pick } of steps) {
            const chosen = (
              from: Map<string, Entry<number>>,
            ): [string, Entry<number>] | undefined => [...from][pick % Math.max(from.size, 1)]
            if (what === 'add') {
              const added = entry(++n)
              waiting.set(key, [...(waiting.get(key) ?? []), added])
              lanes.add(key, added)
            } else if (what === 'next') {
              const turn = lanes.next()
              const ready = [...waiting].some(
                ([k, list]) => list.length > 0 && !running.has(k) && !held.has(k),
              )
              expect(turn !== undefined).toBe(ready && running.size < concurrency)
              if (turn !== undefined) {
                const [first, ...rest] = waiting.get(turn.lane) ?? []
                expect(turn.entry).toBe(first)
                expect(running.has(turn.lane) || held.has(turn.lane)).toBe(false)
                waiting.set(turn.lane, rest)
                turn.entry.phase = 'running'
                running.set(turn.lane, turn.entry)
              }
            } else if (what === 'done') {
              const one = chosen(running)
              if (one !== undefined) {
                one[1].phase = 'done'
                running.delete(one[0])
                lanes.done(one[0])
              }
            } else if (what === 'hold') {
              const one = chosen(running)
              if (one !== undefined) {
                one[1].phase = 'held'
                running.delete(one[0])
                held.set(one[0], one[1])
                lanes.hold(one[0])
              }
            } else if (what === 'unhold') {
              const one = chosen(held)
              if (one !== undefined) {
                one[1].phase = 'queued'
                held.delete(one[0])
                waiting.set(one[0], [one[1], ...(waiting.get(one[0]) ?? [])])
                lanes.unhold(one[0])
              }
            } else {
              lanes.dropQueued()
              waiting.clear()
            }
            expect(lanes.active).toBe(running.size)
          }
        },
      ),
      { numRuns: 500 },
    )
  })
})
