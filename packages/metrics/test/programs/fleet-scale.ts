/**
 * What a scrape of a large fleet costs, and what other clients notice of it:
 * `node --conditions=millrace-source test/programs/fleet-scale.ts [streams] [groups] [events] [everyMs] [maxBusyMicros]`.
 * Another process sends PING all the time, while phases without and with scrapes take turns, so that what
 * else goes on on the machine hits both alike. Between two scrapes lie `everyMs`, by default nothing.
 */
import { spawn, spawnSync } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { startRedis } from '@millrace/testkit'
import { FleetExporter } from '../../src/fleet/fleet-exporter.ts'
import { commandsRun, fillFleet } from '../fleet/fill-fleet.ts'

interface Phase {
  readonly name: string
  readonly p50: number
  readonly p90: number
  readonly p99: number
  readonly max: number
  readonly answers: number
}

const [streams = 1_000, groups = 5, events = 60, everyMs = 0, maxBusyMicros] = process.argv
  .slice(2)
  .map(Number)
const PHASES = 8
const PHASE_MS = Math.max(1_200, everyMs)

await using server = await startRedis()
const redis = server.client()
console.log(`filling ${streams} streams × ${groups} groups × ${events} events`)
await fillFleet(redis, { streams, groups, events })
const prober = startProber(Number(redis.options.port))
keepApart(prober.pid, Number(/process_id:(\d+)/.exec(await redis.info('server'))?.[1]))

await using exporter = new FleetExporter({
  redis: server.url,
  maxStreams: Math.max(streams, 1),
  ...(maxBusyMicros === undefined ? {} : { maxBusyMicros }),
})
console.log(await scrape())
const times: number[] = []
for (let phase = 0; phase < PHASES; phase++) {
  prober.enter('without')
  await delay(PHASE_MS)
  prober.enter('with')
  const endMs = performance.now() + PHASE_MS
  let last = ''
  do {
    const startedMs = performance.now()
    last = await scrape()
    times.push(performance.now() - startedMs)
    await delay(Math.max(startedMs + everyMs - performance.now(), 0))
  } while (performance.now() < endMs)
  console.log(last)
}
const phases = await prober.end()

// Apart from the others, whose commands the server counts as well.
const before = await commandsRun(redis)
const { commands } = await exporter.snapshot()
const counted = (await commandsRun(redis)) - before - 1
console.log(`commands of one scrape: ${commands} by its own count, ${counted} by the server's`)
console.log(`scrapes: ${times.length}, median ${median(times).toFixed(0)} ms`)
for (const name of ['without', 'with']) {
  const of = phases.filter((phase) => phase.name === name)
  const [p50, p90, p99, max] = [
    median(of.map((phase) => phase.p50)),
    median(of.map((phase) => phase.p90)),
    median(of.map((phase) => phase.p99)),
    median(of.map((phase) => phase.max)),
  ].map((ms) => ms.toFixed(2))
  console.log(
    `PING ${name} scrapes: p50 ${p50} ms, p90 ${p90} ms, p99 ${p99} ms, longest ${max} ms (medians)`,
  )
}
const ratios = phases.flatMap((phase, at) => {
  const quiet = phases[at - 1]
  return phase.name === 'with' && quiet !== undefined ? [phase.p99 / quiet.p99] : []
})
const shown = ratios.map((ratio) => ratio.toFixed(2)).join(' ')
console.log(`PING p99 with to without: median ${median(ratios).toFixed(2)} of ${shown}`)

async function scrape(): Promise<string> {
  const startedMs = performance.now()
  const cpu = process.cpuUsage()
  const text = await exporter.metrics()
  const ms = performance.now() - startedMs
  const { user, system } = process.cpuUsage(cpu)
  const figure = (name: string): number =>
    Number(new RegExp(`^${name} (.*)$`, 'm').exec(text)?.[1] ?? Number.NaN)
  const known = text.match(/^millrace_group_lag_known\{.*\} 1$/gm)?.length ?? 0
  const all = text.match(/^millrace_group_lag_known\{/gm)?.length ?? 0
  return (
    `scrape: ${ms.toFixed(0)} ms (${((user + system) / 1e3).toFixed(0)} ms CPU), ` +
    `${figure('millrace_exporter_scrape_commands')} commands, ${(text.length / 1e6).toFixed(1)} MB, ` +
    `lag known of ${known}/${all}, ` +
    `oldest detail ${figure('millrace_exporter_details_age_seconds').toFixed(1)} s`
  )
}

/**
 * Redis and who asks it on a core of their own, and before everybody else there, as far as the system lets us:
 * otherwise one sees who gets a core, rather than for how long Redis is busy.
 */
function keepApart(...others: readonly (number | undefined)[]): void {
  if (availableParallelism() < 2) return
  const pin = (pid: number | undefined, core: string): void => {
    spawnSync('taskset', ['--all-tasks', '--cpu-list', '--pid', core, String(pid)])
  }
  for (const pid of others) {
    pin(pid, '0')
    spawnSync('chrt', ['--fifo', '--all-tasks', '--pid', '1', String(pid)])
  }
  pin(process.pid, '1')
}

/** Another process, so that this one's own work does not count. */
function startProber(port: number): {
  readonly pid: number | undefined
  readonly enter: (name: string) => void
  readonly end: () => Promise<Phase[]>
} {
  const child = spawn(process.execPath, [
    new URL('./ping.mjs', import.meta.url).pathname,
    String(port),
  ])
  let out = ''
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
  const ended = new Promise((resolve) => child.once('close', resolve))
  return {
    pid: child.pid,
    enter: (name) => child.stdin.write(`${name}\n`),
    end: async () => {
      child.stdin.end()
      await ended
      return JSON.parse(out) as Phase[]
    },
  }
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}
