import { expect, it } from 'vitest'
import { buildDashboard, dashboardQueries } from '../../dashboards/millrace-dashboard.ts'
import { fleetMetrics } from '../../src/declarations/fleet.ts'
import { processMetrics } from '../../src/declarations/process.ts'

it('is what its source builds; write it anew with `vitest run -u`', async () => {
  const json = `${JSON.stringify(buildDashboard(), undefined, 2)}\n`
  await expect(json).toMatchFileSnapshot('../../dashboards/millrace.json')
})

it('asks only for metrics that are declared', () => {
  const declared = new Set(
    [...Object.values(fleetMetrics), ...processMetrics].flatMap(({ name, type }) =>
      type === 'histogram' ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
    ),
  )
  const asked = dashboardQueries.flatMap((query) => query.match(/\b(?:millrace|redis)_\w+/g) ?? [])
  expect(asked.length).toBeGreaterThanOrEqual(dashboardQueries.length)
  expect(asked.filter((name) => !declared.has(name))).toEqual([])
})
