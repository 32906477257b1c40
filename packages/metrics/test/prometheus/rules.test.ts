import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { fleetMetrics } from '../../src/declarations/fleet.ts'
import { processMetrics } from '../../src/declarations/process.ts'
import { promtool, reasonWithout } from './tools.ts'

const path = (name: string): string => new URL(`../../alerts/${name}`, import.meta.url).pathname
const rules = readFileSync(path('millrace.rules.yaml'), 'utf8')
const tests = readFileSync(path('millrace.rules.test.yaml'), 'utf8')
const alerts = [...rules.matchAll(/- alert: (\w+)/g)].map(([, name = '']) => name)

describe('Alert rules', () => {
  it('ask only for metrics that are declared', () => {
    const declared = new Set(
      [...Object.values(fleetMetrics), ...processMetrics].map((one) => one.name),
    )
    const asked = rules.match(/\bmillrace_\w+/g) ?? []
    expect(asked.length).toBeGreaterThan(alerts.length)
    expect(asked.filter((name) => !declared.has(name))).toEqual([])
  })

  it('are each tested for when they fire, and for when they do not', () => {
    expect(alerts.length).toBeGreaterThan(8)
    for (const alert of alerts) {
      expect(tests, alert).toMatch(new RegExp(`alertname: ${alert}\\n\\s+exp_alerts:\\n`))
    }
    const always = alerts.filter((alert) => !tests.includes(`alertname: ${alert}, exp_alerts: []`))
    // Its test has a second server, without a limit, for which it never fires.
    expect(always).toEqual(['MillraceMemoryCritical'])
  })

  const reason = reasonWithout('promtool')
  it.skipIf(reason !== undefined)(
    `are what promtool takes${reason ? ` (${reason})` : ''}`,
    async () => {
      expect(await promtool(['check', 'rules', path('millrace.rules.yaml')])).toContain('SUCCESS')
    },
  )

  it.skipIf(reason !== undefined)(`pass their tests${reason ? ` (${reason})` : ''}`, async () => {
    expect(await promtool(['test', 'rules', path('millrace.rules.test.yaml')])).toContain('SUCCESS')
  })
})
