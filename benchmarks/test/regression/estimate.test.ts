import { expect, test } from 'vitest'
import type { Sample } from '../../src/harness/samples.ts'
import { estimate, holds } from '../../src/regression/estimate.ts'
import { gates } from '../../src/regression/gates.ts'

/** Client CPU per event of real rounds, in µs, taken while two cores had ten to twenty runnable processes. */
const asItIs = {
  publish_floor: [7.56, 7.99, 6.34, 6.66, 6.52],
  publish: [4.38, 3.54, 3.31, 3.51, 4.35],
  consume_floor: [7.29, 5.76, 5.09, 4.71, 5.33],
  consume: [7.27, 10.96, 7.2, 7.27, 10.08],
  group: [9.74, 10.37, 8.43, 9.12, 12.96],
}
/** The same with MILLRACE_PLANTED_SLOWDOWN=0.3. */
const slowedDown = {
  publish_floor: [
    6.76, 6.17, 7.03, 6.85, 7.97, 6.89, 5.94, 5.92, 6.41, 6.88, 6.08, 7.52, 6.47, 8.15, 9.5,
  ],
  publish: [5.39, 4.49, 4.31, 5.14, 4.38, 4.26, 4.2, 4.11, 4.49, 4.81, 5, 5.75, 4.17, 5.34, 4.59],
  consume_floor: [
    5.79, 6.04, 5.07, 5.45, 5.87, 5.03, 7.05, 5.98, 4.65, 4.89, 5.24, 6.65, 5.26, 6.13, 5.39,
  ],
  consume: [10.27, 12, 10.51, 9.83, 9.88, 10, 9.15, 9.59, 9.6, 8.71, 9.22, 9.53, 10.63, 9.11, 8.95],
  group: [
    13.44, 16.6, 12.02, 11.57, 12.27, 11.63, 10.92, 11.96, 10.67, 10.51, 10.36, 12.03, 11.8, 11.14,
    10.11,
  ],
}

/** The limits of that day. */
const limits: Readonly<Record<string, number>> = { publish: 0.6, consume: 1.72, group: 2.01 }
const cpuGates = gates
  .filter(({ figure }) => figure === 'clientCpuUs')
  .map((gate) => Object.assign({}, gate, { limit: limits[gate.variant] }))

function samplesOf(rounds: Readonly<Record<string, readonly number[]>>): readonly Sample[] {
  return Object.entries(rounds).flatMap(([variant, values]) =>
    values.map((clientCpuUs, index) => ({ round: index + 1, variant, figures: { clientCpuUs } })),
  )
}

test('rounds of a busy machine are within the limits', () => {
  const samples = samplesOf(asItIs)
  expect(cpuGates.filter((gate) => !holds(gate, estimate(samples, gate), false))).toEqual([])
})

test('rounds of a busy machine that was slowed down by 30 % are beyond them, each path for itself', () => {
  const samples = samplesOf(slowedDown)
  expect(cpuGates.filter((gate) => holds(gate, estimate(samples, gate), false))).toEqual([])
})

test('a path that was not measured is beyond its limit', () => {
  for (const gate of gates) expect(holds(gate, estimate([], gate), true)).toBe(false)
})
