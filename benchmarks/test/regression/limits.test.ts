import { expect, test } from 'vitest'
import { Samples } from '../../src/harness/samples.ts'
import { gatesOf, holds, isOutgrown } from '../../src/regression/gates.ts'
import { type PathName } from '../../src/regression/generation.ts'

type Rounds = Readonly<Record<PathName, readonly number[]>>

/** Client CPU per event of real rounds, in µs, while two cores had fifteen to twenty runnable processes. */
const asItIs: Rounds = {
  publish: [3.13, 2.91, 2.78, 2.65],
  publish_floor: [5.95, 5.55, 5.84, 5.82],
  consume: [6.86, 6.02, 6.22, 6.39],
  consume_floor: [4.57, 4.02, 4.21, 4.25],
  group: [9.09, 7.08, 7, 7.39],
}

/** What was usual that day, on the same machine with nothing beside it but the benchmark. */
const gates = gatesOf({
  publish_client_cpu_vs_floor: 0.53,
  publish_redis_cpu_vs_floor: 1.74,
  publish_rate_vs_floor: 1.15,
  consume_client_cpu_vs_floor: 1.45,
  consume_redis_cpu_vs_floor: 0.37,
  consume_rate_vs_floor: 1,
  group_client_cpu_vs_floor: 1.68,
  group_redis_cpu_vs_floor: 1.48,
  group_rate_vs_floor: 0.66,
}).filter(({ figure }) => figure === 'clientCpuUs')

function beyond(rounds: Rounds): readonly string[] {
  const samples = new Samples()
  for (const [variant, values] of Object.entries(rounds))
    for (const [index, clientCpuUs] of values.entries())
      samples.add({ round: index + 1, variant, figures: { clientCpuUs } })
  return gates
    .filter((gate) => !holds(gate, samples.ratio('clientCpuUs', gate.path, gate.floor), false))
    .map(({ path }) => path)
}

test('rounds of a busy machine are within the limits', () => {
  expect(beyond(asItIs)).toEqual([])
})

test.each(['publish', 'consume', 'group'] as const)(
  '30 % more than the usual CPU for %s is noticed, also where the machine is quiet',
  (path) => {
    const usual: Rounds = {
      publish: [0.53],
      consume: [1.45],
      group: [1.68],
      publish_floor: [1],
      consume_floor: [1],
    }
    expect(beyond(usual)).toEqual([])
    expect(beyond({ ...usual, [path]: [(usual[path][0] ?? Number.NaN) * 1.3] })).toEqual([path])
  },
)

test('a path that has become faster by more than the slack has outgrown its limit', () => {
  for (const gate of gates) {
    const usual = gate.limit / 1.15
    expect([usual, usual / 1.1, usual / 1.2].map((ratio) => isOutgrown(gate, ratio))).toEqual([
      false,
      false,
      true,
    ])
  }
})
