import { expect, test } from 'vitest'
import { fleetMetrics } from '../../src/declarations/fleet.ts'
import { problemsOf, processMetrics } from '../../src/index.ts'

const all = [...processMetrics, ...Object.values(fleetMetrics)]

test('every metric keeps the conventions', () => {
  expect(all.flatMap(problemsOf)).toEqual([])
})

test('no two metrics share a name', () => {
  const names = all.map(({ name }) => name)
  expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([])
  const given = processMetrics.map(({ openTelemetry }) => openTelemetry)
  expect(given.filter((name, i) => given.indexOf(name) !== i)).toEqual([])
})

test('names in OpenTelemetry have no units, and say what their units measure', () => {
  for (const { name, unit, openTelemetry = '' } of processMetrics) {
    expect(openTelemetry, name).toMatch(/^(messaging|millrace)(\.[a-z][a-z_]*)+$/)
    expect(openTelemetry, name).not.toMatch(/_(total|seconds|bytes|ratio)$/)
    if (unit === 'bytes') expect(openTelemetry, name).toMatch(/_size$/)
  }
})
