import { mkdtemp } from 'node:fs/promises'
import { rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { provideRedis } from '@millrace/testkit'
import { Cast, consumers } from './cast.ts'
import { loadFlightRecords } from './flights/flight-records.ts'
import { MigrationAct } from './migration/act.ts'
import type { MigrationReport } from './migration/migration-report.ts'
import type { DemoOptions } from './options.ts'
import { Ledger } from './proof/ledger.ts'
import { makeReport, type Recoveries, type Report } from './proof/report.ts'
import { removeKeys } from './remove-keys.ts'
import { draw } from './screen/picture.ts'
import type { Picture, Screen } from './screen/screen.ts'
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
  const stage: DemoStage = { options, screen, interruption, redisUrl: redis.url, prefix, folder }
  interruption.atOnce.addEventListener('abort', () => {
    rmSync(folder, { recursive: true, force: true })
  })
  let report: Report | undefined
  try {
    screen.say('first act: from polling to the stream')
    const migration = await playMigration(stage)
    interruption.early.throwIfAborted()
    screen.say('second act: processes die')
    report = await playFaults(stage, migration)
    return report
  } finally {
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

/** What the acts have in common. */
interface DemoStage {
  readonly options: DemoOptions
  readonly screen: Screen
  readonly interruption: Interruption
  readonly redisUrl: string
  readonly prefix: string
  readonly folder: string
}

async function playMigration(stage: DemoStage): Promise<MigrationReport | undefined> {
  const { options, screen, interruption, redisUrl, prefix } = stage
  const ledger = new Ledger()
  for (const { name } of consumers) ledger.addConsumer(name, 'stream')
  const cast = castOf(stage, ledger, () => undefined)
  const act = new MigrationAct({
    options,
    screen,
    ledger,
    cast,
    redisUrl,
    prefix,
    early: interruption.early,
  })
  return withPicture(
    screen,
    ledger,
    cast,
    () => draw({ ledger, cast, elapsedMs: act.elapsedMs }),
    () => act.run(),
  )
}

async function playFaults(
  stage: DemoStage,
  migration: MigrationReport | undefined,
): Promise<Report> {
  const { options, screen, interruption } = stage
  const ledger = new Ledger()
  for (const { name, orderedBy } of consumers) ledger.addConsumer(name, orderedBy)
  const recoveries: Recoveries = {}
  const cast = castOf(stage, ledger, (from, events) => recoveries.takeover?.claimed(from, events))
  const early = interruption.early
  const script = new Script({ options, screen, ledger, cast, recoveries, early })
  const picture = (): Picture | undefined => {
    script.announce()
    return script.elapsedMs > 0 ? draw({ ledger, cast, elapsedMs: script.elapsedMs }) : undefined
  }
  return withPicture(screen, ledger, cast, picture, async () => {
    await script.run()
    ledger.read()
    return makeReport(ledger, recoveries, migration)
  })
}

function castOf(
  { options, interruption, redisUrl, prefix, folder }: DemoStage,
  ledger: Ledger,
  onClaimed: (from: string, events: number) => void,
): Cast {
  const { seconds, eventsPerSecond } = options
  const tablePath = join(folder, 'flights.sqlite')
  const cast = new Cast(
    { redisUrl, prefix, folder, seconds, eventsPerSecond, tablePath },
    ledger,
    onClaimed,
  )
  interruption.atOnce.addEventListener('abort', () => {
    void cast.kill()
  })
  return cast
}

/** Plays an act while it is drawn; whatever processes it has started have ended afterwards. */
async function withPicture<Outcome>(
  screen: Screen,
  ledger: Ledger,
  cast: Cast,
  picture: () => Picture | undefined,
  act: () => Promise<Outcome>,
): Promise<Outcome> {
  const timer = setInterval(() => {
    ledger.read()
    const drawn = picture()
    if (drawn !== undefined) screen.show(drawn)
  }, REDRAW_EVERY_MS)
  try {
    return await Promise.race([act(), cast.trouble])
  } finally {
    clearInterval(timer)
    screen.clear()
    await cast.kill()
    ledger.close()
  }
}
