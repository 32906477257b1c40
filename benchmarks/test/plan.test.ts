import { expect, test } from 'vitest'
import { planRounds, remainingMs, type Variant } from '../src/harness/plan.ts'

function variant(name: string, rounds?: number): Variant {
  const run = (): Promise<Record<string, number>> => Promise.resolve({})
  return { name, expectedMs: 100, run, ...(rounds === undefined ? {} : { rounds }) }
}

function orderOf(rounds: number, variants: readonly Variant[]): string[] {
  return planRounds(rounds, variants).map((step) => `${step.round}${step.variant.name}`)
}

test('every second round goes backwards', () => {
  const order = orderOf(3, [variant('a'), variant('b'), variant('c')])
  expect(order).toEqual(['1a', '1b', '1c', '2c', '2b', '2a', '3a', '3b', '3c'])
})

test('a variant may take part in the first rounds only', () => {
  expect(orderOf(3, [variant('a'), variant('b', 1)])).toEqual(['1a', '1b', '2a', '3a'])
})

test('the time left follows from how fast this machine was so far', () => {
  const steps = planRounds(2, [variant('a'), variant('b')])
  expect(remainingMs(steps, 0, 0)).toBe(400)
  expect(remainingMs(steps, 1, 300)).toBe(900)
  expect(remainingMs(steps, 4, 1_200)).toBe(0)
})
