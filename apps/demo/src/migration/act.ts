import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from '@millrace/runtime'
import { createMigration, type Migration, type MigrationState } from '@millrace/poll-adapter'
import { BOARD, type Cast, consumers } from '../cast.ts'
import { nowMs } from '../clock.ts'
import type { DemoOptions } from '../options.ts'
import type { Ledger } from '../proof/ledger.ts'
import type { Screen } from '../screen/screen.ts'
import { count } from '../screen/table.ts'
import { flightChanges } from './flight-changes.ts'
import { makeMigrationReport, type MigrationReport } from './migration-report.ts'
import { type Reading, Resources, stretchBetween, type Stretch } from './resources.ts'

export interface MigrationScene {
  readonly options: DemoOptions
  readonly screen: Screen
  readonly ledger: Ledger
  readonly cast: Cast
  readonly redisUrl: string
  readonly prefix: string
  /** Fires when it is to end early. */
  readonly early: AbortSignal
}

/** How long a process runs before what it uses is compared: it compiles and connects first. */
const WARM_UP_MS = 2_000
const SHORTEST_STRETCH_MS = 3_000
const LONGEST_STRETCH_MS = 10_000
/** How long a shadow looks before its poller moves on. */
const SHADOW_MS = 2_500
const SWITCH_PATIENCE_MS = 15_000
/** For how long nothing may be handled before what is missing counts as lost. */
const PATIENCE_MS = 15_000
const LOOK_EVERY_MS = 50

/** Moves three services, one by one and live, from polling an old API to the stream. */
export class MigrationAct {
  readonly #scene: MigrationScene
  readonly #startedAtMs = nowMs()
  #switches = 0

  constructor(scene: MigrationScene) {
    this.#scene = scene
  }

  get elapsedMs(): number {
    return nowMs() - this.#startedAtMs
  }

  /** Answers nothing when it was ended before there was something to compare. */
  async run(): Promise<MigrationReport | undefined> {
    const { cast, ledger, redisUrl, prefix, early } = this.#scene
    await using millrace = await connect(redisUrl, { prefix, clientName: 'migration' })
    await using migration = createMigration(millrace, flightChanges)
    using resources = new Resources(cast, redisUrl)

    this.#say('three services poll an old HTTP API, each once a second')
    const system = cast.startFlightSystem()
    const url = await system.serving
    const pollers = consumers.map(({ name }) => cast.startPoller(name, url))
    await Promise.all([system, ...pollers].map((one) => one.ready))
    await this.#pause(WARM_UP_MS)
    const before = await this.#measure(resources)
    if (early.aborted) return undefined

    this.#say(
      'the flight system brings its table into a stream, too; the services move, one by one',
    )
    system.publish()
    for (const { name } of consumers) {
      await this.#switch(migration, name, 'shadow', 'to see both ways side by side')
      await this.#pause(SHADOW_MS)
      await this.#tellOfShadow(migration, name)
      await this.#switch(migration, name, 'stream', 'both ways agree')
      if (early.aborted) return undefined
    }
    await this.#switch(migration, BOARD, 'poll', 'to show the way back')
    await this.#switch(migration, BOARD, 'stream', 'and forward again')
    await this.#pause(WARM_UP_MS)
    const after = await this.#measure(resources)
    if (early.aborted) return undefined

    system.stop()
    await this.#settle()
    const report = makeMigrationReport(ledger, before, after, this.#switches)
    await cast.drain()
    return report
  }

  async #measure(resources: Resources): Promise<Stretch> {
    const { options } = this.#scene
    const wantedMs = options.seconds * 200
    const stretchMs = Math.min(Math.max(wantedMs, SHORTEST_STRETCH_MS), LONGEST_STRETCH_MS)
    this.#say(`measuring for ${(stretchMs / 1_000).toFixed(0)} s`)
    const from: Reading = await resources.read()
    await this.#pause(stretchMs)
    return stretchBetween(from, await resources.read())
  }

  async #switch(
    migration: Migration,
    poller: string,
    to: MigrationState,
    why: string,
  ): Promise<void> {
    const { early } = this.#scene
    if (early.aborted) return
    const atMs = nowMs()
    const { epoch } = await migration.switchTo(poller, to, { who: 'the demo', why })
    for (;;) {
      const record = await migration.look(poller)
      if (record.acting.epoch === epoch) break
      if (early.aborted) return
      if (nowMs() - atMs > SWITCH_PATIENCE_MS) {
        throw new Error(
          `${poller} could not be switched to ${to}: ${record.waiting || 'no answer'}`,
        )
      }
      await sleep(LOOK_EVERY_MS)
    }
    this.#switches += 1
    this.#say(
      `${poller}: ${to} is in force after ${((nowMs() - atMs) / 1_000).toFixed(2)} s (${why})`,
    )
  }

  async #tellOfShadow(migration: Migration, poller: string): Promise<void> {
    const { matched, onlyPoll, onlyStream, outOfOrder, differing, earlierMs } =
      await migration.report(poller)
    this.#say(
      `${poller}: ${count(matched)} seen both ways, ${count(onlyPoll)} only by the poll, ` +
        `${count(onlyStream)} only by the stream, ${count(outOfOrder)} out of order, ` +
        `${count(differing)} differ; the stream was earlier by ${earlierMs.p50.toFixed(0)} ms (p50)`,
    )
  }

  /** Waits until every row that was written is handled everywhere, as long as there is progress. */
  async #settle(): Promise<void> {
    const { ledger } = this.#scene
    let best = -1
    let bestAtMs = nowMs()
    for (;;) {
      await sleep(LOOK_EVERY_MS)
      ledger.read()
      const tallies = [...ledger.consumers.values()]
      if (tallies.every((tally) => tally.missing(ledger.published.sequences()) === 0)) return
      const handled = tallies.reduce((sum, tally) => sum + tally.distinct, 0)
      if (handled > best) {
        best = handled
        bestAtMs = nowMs()
      } else if (nowMs() - bestAtMs > PATIENCE_MS) {
        return
      }
    }
  }

  async #pause(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#scene.early }).catch(() => undefined)
  }

  #say(line: string): void {
    this.#scene.screen.say(`${(this.elapsedMs / 1_000).toFixed(1)} s: ${line}`)
  }
}
