/**
 * What a scrape of a large fleet costs, and what other clients notice of it:
 * `node --conditions=millrace-source test/programs/fleet-scale.ts [streams] [groups] [events]`.
 */
import { startRedis } from '@millrace/testkit'
import type { Redis } from 'ioredis'
import { FleetExporter } from '../../src/fleet/fleet-exporter.ts'
import { commandsRun, fillFleet } from '../fleet/fill-fleet.ts'

const [streams = 1_000, groups = 5, events = 60] = process.argv.slice(2).map(Number)
const SCRAPES = 12
const times: number[] = []

await using server = await startRedis()
const redis = server.client()
console.log(`filling ${streams} streams × ${groups} groups × ${events} events`)
await fillFleet(redis, { streams, groups, events })

await using exporter = new FleetExporter({ redis: server.url, maxStreams: Math.max(streams, 1) })
const quiet = await latencies(redis, async () => {
  await new Promise((resolve) => setTimeout(resolve, 1_500))
})
const busy = await latencies(redis, async () => {
  for (let scrape = 1; scrape <= SCRAPES; scrape++) {
    const started = performance.now()
    const cpu = process.cpuUsage()
    const text = await exporter.metrics()
    const ms = performance.now() - started
    const { user, system } = process.cpuUsage(cpu)
    times.push(ms)
    const snapshot = factsOf(text)
    console.log(
      `scrape ${scrape}: ${ms.toFixed(0)} ms (${((user + system) / 1e3).toFixed(0)} ms CPU), ${snapshot.commands} commands, ` +
        `${snapshot.series} series, ${(text.length / 1e6).toFixed(1)} MB, ` +
        `lag known of ${snapshot.known}/${snapshot.groups}, oldest detail ${snapshot.detailsAge} s`,
    )
  }
})
// Apart from the others, whose commands the server counts as well.
const before = await commandsRun(redis)
const { commands } = await exporter.snapshot()
const counted = (await commandsRun(redis)) - before - 1
console.log(`commands of one scrape: ${commands} by its own count, ${counted} by the server's`)
console.log(`median of the scrapes: ${times.toSorted((a, b) => a - b)[SCRAPES / 2]?.toFixed(0)} ms`)
console.log(`PING of another client between scrapes: ${quiet}`)
console.log(`PING of another client during scrapes:  ${busy}`)

interface Facts {
  readonly commands: number
  readonly detailsAge: number
  readonly series: number
  readonly known: number
  readonly groups: number
}

function factsOf(text: string): Facts {
  const figure = (name: string): number =>
    Number(new RegExp(`^${name} (.*)$`, 'm').exec(text)?.[1] ?? Number.NaN)
  return {
    commands: figure('millrace_exporter_scrape_commands'),
    detailsAge: figure('millrace_exporter_details_age_seconds'),
    series: text.split('\n').filter((line) => line !== '' && !line.startsWith('#')).length,
    known: text.match(/^millrace_group_lag_known\{.*\} 1$/gm)?.length ?? 0,
    groups: text.match(/^millrace_group_lag_known\{/gm)?.length ?? 0,
  }
}

/** Round trips of another process, so that this one's own work does not count. */
async function latencies(redisOfServer: Redis, work: () => Promise<void>): Promise<string> {
  const { spawn } = await import('node:child_process')
  const prober = spawn(process.execPath, [
    new URL('./ping.mjs', import.meta.url).pathname,
    String(redisOfServer.options.port),
  ])
  let out = ''
  prober.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
  const ended = new Promise((resolve) => prober.once('exit', resolve))
  await work()
  prober.stdin.end()
  await ended
  return out.trim()
}
