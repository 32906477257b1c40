import { mkdtemp } from 'node:fs/promises'
import { rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { provideRedis } from '@millrace/testkit'
import { Cast, consumers } from './cast.ts'
import { loadFlightRecords } from './flights/flight-records.ts'
import type { DemoOptions } from './options.ts'
import { Ledger } from './proof/ledger.ts'
import { makeReport, type Recoveries, type Report } from './proof/report.ts'
import { removeKeys } from './remove-keys.ts'
import { draw } from './screen/picture.ts'
import type { Screen } from './screen/screen.ts'
import { count } from './screen/table.ts'
import { Script } from './script.ts'

/** How a run may be cut short. */
export interface Interruption {
  /** Fires when the replay is to end early; the proof is made all the same. */
  readonly early: AbortSignal
  /** Fires just before this process exits: nothing that takes time can be done any more. */
  readonly atOnce: AbortSignal
}

const REDRAW_EVERY_MS = 200

/**
 * Runs the whole demo: servers, processes, faults, proof. Whatever it started has ended when it is
 * over, however it is over.
 */
export async function runDemo(
  options: DemoOptions,
  screen: Screen,
  interruption: Interruption,
): Promise<Report> {
  const records = await loadFlightRecords()
  screen.say(`replaying ${count(records.length)} US domestic flights of January to March 2001`)
  screen.say(options.redisUrl === undefined ? 'starting a private Redis' : 'connecting to Redis')
  await using redis = await provideRedis({
    url: options.redisUrl,
    log: (line) => {
      screen.say(line)
    },
    signal: interruption.early,
  })
  screen.say(`${redis.version} is there`)

  // Each run has streams of its own, so that it can be counted whatever else is in that Redis.
  const prefix = `millrace-demo:${process.pid}-${Date.now().toString(36)}:`
  const folder = await mkdtemp(join(tmpdir(), 'millrace-demo-'))
  const ledger = new Ledger()
  for (const { name, orderedBy } of consumers) ledger.addConsumer(name, orderedBy)
  const recoveries: Recoveries = {}
  const { seconds, eventsPerSecond } = options
  const cast = new Cast(
    { redisUrl: redis.url, prefix, folder, seconds, eventsPerSecond },
    ledger,
    (from, events) => recoveries.takeover?.claimed(from, events),
  )
  interruption.atOnce.addEventListener('abort', () => {
    void cast.kill()
    rmSync(folder, { recursive: true, force: true })
  })

  const script = new Script({
    options,
    screen,
    ledger,
    cast,
    recoveries,
    early: interruption.early,
  })
  const timer = setInterval(() => {
    ledger.read()
    script.announce()
    if (script.elapsedMs > 0) screen.show(draw({ ledger, cast, elapsedMs: script.elapsedMs }))
  }, REDRAW_EVERY_MS)
  let report: Report | undefined
  try {
    await Promise.race([script.run(), cast.trouble])
    ledger.read()
    report = makeReport(ledger, recoveries)
    return report
  } finally {
    clearInterval(timer)
    screen.clear()
    await cast.kill()
    ledger.close()
    if (report === undefined || report.ok || report.published === 0)
      rmSync(folder, { recursive: true, force: true })
    else screen.say(`the journals of all processes are in ${folder}`)
    if (redis.source === 'given') {
      await removeKeys(redis.url, prefix).catch((error: unknown) => {
        screen.say(`the keys ${prefix}* could not be removed: ${String(error)}`)
      })
    }
  }
}
