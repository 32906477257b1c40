import { describe, expect, it } from 'vitest'
import type { Clock } from '../../src/lifecycle/clock.ts'
import { Gate } from '../../src/pressure/gate.ts'

/** A clock that goes only as far as it is told. */
class StepClock implements Clock {
  #nowMs = 0
  #timers: { readonly atMs: number; readonly callback: () => void }[] = []

  monotonicMs(): number {
    return this.#nowMs
  }

  after(ms: number, callback: () => void): () => void {
    const timer = { atMs: this.#nowMs + ms, callback }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter((one) => one !== timer)
    }
  }

  go(ms: number): void {
    const endMs = this.#nowMs + ms
    for (;;) {
      const next = this.#timers.toSorted((a, b) => a.atMs - b.atMs)[0]
      if (next === undefined || next.atMs > endMs) break
      this.#timers = this.#timers.filter((one) => one !== next)
      this.#nowMs = next.atMs
      next.callback()
    }
    this.#nowMs = endMs
  }

  get waiting(): number {
    return this.#timers.length
  }
}

function openGate(hasRoom: (passed: number) => boolean = () => true): {
  clock: StepClock
  gate: Gate<number>
  passed: number[]
} {
  const clock = new StepClock()
  const passed: number[] = []
  return {
    clock,
    passed,
    gate: new Gate(
      clock,
      () => hasRoom(passed.length),
      (events) => passed.push(...events),
    ),
  }
}

const calls = (gate: Gate<number>, from: number, to: number): void => {
  for (let n = from; n < to; n++) gate.enter({ isGone: () => false, events: [n] })
}

describe('the gate of a delayed producer', () => {
  it('lets everything through at once while it is open', () => {
    const { gate, passed, clock } = openGate()
    expect(gate.isOpen).toBe(true)
    calls(gate, 0, 1_000)
    expect(passed).toHaveLength(1_000)
    expect(clock.waiting).toBe(0)
  })

  it('keeps the order and the rate, evenly', () => {
    const { gate, passed, clock } = openGate()
    gate.setRate(1_000)
    calls(gate, 0, 5_000)
    clock.go(100)
    const perStep: number[] = []
    for (let step = 0; step < 20; step++) {
      const before = passed.length
      clock.go(100)
      perStep.push(passed.length - before)
    }
    expect(Math.min(...perStep)).toBeGreaterThanOrEqual(95)
    expect(Math.max(...perStep)).toBeLessThanOrEqual(105)
    expect(passed).toEqual(passed.map((_, i) => i))
  })

  it('lets nothing through at 0, and goes on when it is told', () => {
    const { gate, passed, clock } = openGate()
    gate.setRate(0)
    calls(gate, 0, 10)
    clock.go(60_000)
    expect(passed).toEqual([])
    gate.setRate(Number.POSITIVE_INFINITY)
    expect(passed).toHaveLength(10)
    expect([gate.isOpen, clock.waiting]).toEqual([true, 0])
  })

  it('holds back what would only wait behind it, also while it is open', () => {
    let room = 100
    const { gate, passed, clock } = openGate((count) => count < room)
    calls(gate, 0, 1_000)
    expect([passed.length, gate.isOpen]).toEqual([100, false])
    room = 250
    clock.go(10)
    expect(passed).toHaveLength(250)
    room = 10_000
    clock.go(10)
    expect([passed.length, gate.isOpen, clock.waiting]).toEqual([1_000, true, 0])
  })

  it('lets a large call through as a whole, and makes up for it afterwards', () => {
    const { gate, passed, clock } = openGate()
    gate.setRate(100)
    gate.enter({ isGone: () => false, events: Array.from({ length: 500 }, (_, n) => n) })
    calls(gate, 500, 501)
    expect(passed).toHaveLength(500)
    clock.go(4_900)
    expect(passed).toHaveLength(500)
    clock.go(200)
    expect(passed).toHaveLength(501)
  })

  it('saves up nothing while nobody comes', () => {
    const { gate, passed, clock } = openGate()
    gate.setRate(100)
    clock.go(3_600_000)
    calls(gate, 0, 1_000)
    expect(passed.length).toBeLessThanOrEqual(6)
  })

  it('lets go of what was given up, and stops when it is told to', () => {
    const { gate, passed, clock } = openGate()
    gate.setRate(1)
    calls(gate, 0, 1)
    let isGone = false
    gate.enter({ isGone: () => isGone, events: [1] })
    calls(gate, 2, 3)
    isGone = true
    gate.prune()
    clock.go(2_000)
    expect(passed).toEqual([0, 2])
    calls(gate, 3, 9)
    gate.stop()
    clock.go(60_000)
    // One had been saved up for.
    expect([passed, clock.waiting]).toEqual([[0, 2, 3], 0])
  })
})
