import { readFileSync } from 'node:fs'
import { startRedis, waitFor } from '@millrace/testkit'
import { describe, expect, it } from 'vitest'
import { dashboardQueries } from '../../dashboards/millrace-dashboard.ts'
import { FleetExporter } from '../../src/fleet/fleet-exporter.ts'
import { serveFleet } from '../../src/fleet/serve-fleet.ts'
import { type PrometheusServer, startPrometheus } from './prometheus-server.ts'
import { promtool, reasonWithout } from './tools.ts'
import { WatchedApp } from './watched-app.ts'

const rules = readFileSync(new URL('../../alerts/millrace.rules.yaml', import.meta.url), 'utf8')
const reason = reasonWithout('prometheus', 'promtool')
/** The queries that docs/autoscaling.md gives to KEDA, which has data whenever the exporter has. */
const documented = [
  ...readFileSync(new URL('../../../../docs/autoscaling.md', import.meta.url), 'utf8').matchAll(
    /query: >-\n((?:\s+[^\s#].*\n)+?)\s+#|```promql\n([^`]+)```/g,
  ),
].map(([, inYaml, inProse]) => inYaml ?? inProse ?? '')
const queries = [...dashboardQueries, ...documented]
const PATIENT = { timeoutMs: 120_000, everyMs: 300 }

describe.skipIf(reason !== undefined)(`A real Prometheus${reason ? ` (${reason})` : ''}`, () => {
  it('fires every alert while what it is about happens, and ends it after', {
    timeout: 900_000,
  }, async () => {
    await using redis = await startRedis({ persistence: true })
    const admin = redis.client()
    // The group of a program that does not use Millrace.
    await admin.xadd('plain', '1-0', 'n', 1)
    await admin.xadd('plain', '2-0', 'n', 2)
    await admin.xgroup('CREATE', 'plain', 'reports', '2-0')
    await using app = await WatchedApp.start(redis.url)
    await using exporter = await serveFleet(
      new FleetExporter({
        redis: redis.url,
        discoverEveryMs: 1_000,
        deadlineMs: 800,
        patienceMs: 2_000,
        windowMs: 4_000,
      }),
      { port: 0 },
    )
    await using prometheus = await startPrometheus({
      targets: { fleet: exporter.url.slice('http://'.length), app: app.target },
      rules: secondsForMinutes(rules),
    })
    const fires = async (...alerts: readonly string[]): Promise<void> => {
      const missing = async (): Promise<readonly string[]> => {
        const firing = await prometheus.firing()
        return alerts.filter((alert) => !firing.has(alert))
      }
      let left: readonly string[] = alerts
      await waitFor(async () => (left = await missing()).length === 0, {
        ...PATIENT,
        describe: `the alerts ${alerts.join(', ')}`,
      }).catch((error: unknown) => {
        throw new Error(`did not fire: ${left.join(', ')}`, { cause: error })
      })
    }
    const fired = new Set<string>()
    const answered = new Set<string>()
    const look = async (): Promise<void> => {
      for (const alert of await prometheus.firing()) fired.add(alert)
      for (const query of queries) {
        if (!answered.has(query) && (await hasData(prometheus, query))) answered.add(query)
      }
    }
    const nothingFires = async (when: string): Promise<void> => {
      await waitFor(
        async () =>
          (await prometheus.firing()).size === 0 &&
          (await prometheus.query('millrace_group_verdict{verdict="ok"}')).length >= 7,
        { ...PATIENT, describe: `no alert to fire ${when}` },
      )
    }

    await nothingFires('while all is well')
    await look()

    // Trouble with consumers.
    app.isFailing = true
    app.slowMs = 150
    await app.stopBoard()
    await app.stopCollector()
    await admin.xgroup('SETID', 'plain', 'reports', '1-0', 'ENTRIESREAD', 1)
    await fires('MillraceRewound')
    await look()
    await admin.xgroup('SETID', 'plain', 'reports', '2-0', 'ENTRIESREAD', 2)
    await fires(
      'MillraceConsumerStalled',
      'MillraceDeadLettersGrowing',
      'MillraceEventsExpiringUnread',
      'MillraceEventsAboutToExpire',
      'MillraceLagGrowing',
      'MillracePressureCritical',
    )
    await look()

    // Trouble with leases: somebody writes what no holder has written.
    let thefts = 0
    await waitFor(
      async () => {
        await admin.hset(
          'mr:{flights}flights:state:leased',
          'token',
          `${++thefts}-0`,
          'released',
          '1',
        )
        return (await prometheus.firing()).has('MillraceLeaseChurn')
      },
      { ...PATIENT, everyMs: 700, describe: 'MillraceLeaseChurn' },
    )
    await look()

    // Trouble with memory.
    await waitFor(
      async () => {
        const used = Number(/used_memory:(\d+)/.exec(await admin.info('memory'))?.[1])
        await admin.config('SET', 'maxmemory', Math.round(used * 1.06))
        return (await prometheus.firing()).has('MillraceMemoryCritical')
      },
      { ...PATIENT, describe: 'MillraceMemoryCritical' },
    )
    await look()
    await admin.config('SET', 'maxmemory', 0)

    // Trouble with Redis itself.
    await redis.kill('SIGSTOP')
    await fires('MillraceExporterBlind', 'MillraceReaderDeaf', 'MillraceSpoolFilling')
    await look()
    await redis.kill('SIGCONT')

    app.isFailing = false
    app.slowMs = 0
    app.startBoard()
    app.startCollector()
    await nothingFires('after all is mended')
    await look()

    expect(fired).toEqual(new Set([...rules.matchAll(/- alert: (\w+)/g)].map(([, name]) => name)))
    expect(documented).toHaveLength(2)
    expect(queries.filter((query) => !answered.has(query))).toEqual([])

    // What both of them show is what Prometheus likes to see.
    for (const url of [`${exporter.url}/metrics`, `http://${app.target}/metrics`]) {
      const text = await (await fetch(url)).text()
      expect(text.length).toBeGreaterThan(1_000)
      expect(await promtool(['check', 'metrics'], text)).toBe('')
    }
  })
})

/** The rules, sixty times as fast: what takes minutes in production takes seconds here. */
function secondsForMinutes(text: string): string {
  return text.replaceAll(/\b(\d+)m\b/g, '$1s')
}

async function hasData(prometheus: PrometheusServer, query: string): Promise<boolean> {
  const expression = query
    .replaceAll('$__rate_interval', '10s')
    .replaceAll(/\$(key|stream)\b/g, '.*')
  const series = await prometheus.query(expression)
  return series.some(({ value }) => !Number.isNaN(value))
}
