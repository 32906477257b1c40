import { setTimeout as sleep } from 'node:timers/promises'
import { BOARD, type Cast, REBOOKING, STATISTICS, WORKERS } from './cast.ts'
import { nowMs } from './clock.ts'
import type { DemoOptions } from './options.ts'
import type { RoleProcess } from './processes/role-process.ts'
import type { Ledger } from './proof/ledger.ts'
import { RestartRecovery, TakeoverRecovery } from './proof/recovery.ts'
import type { Recoveries } from './proof/report.ts'
import type { Screen } from './screen/screen.ts'
import { count, seconds } from './screen/table.ts'

export interface Scene {
  readonly options: DemoOptions
  readonly screen: Screen
  readonly ledger: Ledger
  readonly cast: Cast
  /** Filled in as they come to pass. */
  readonly recoveries: Recoveries
  /** Fires when the replay is to end early. */
  readonly early: AbortSignal
}

/** When, as a share of the replay, what is done to whom. */
const KILL_BOARD_AT = 0.5
const KILL_WORKER_AT = 0.6
/** A worker that hangs has got some of so many events. */
const EVENTS_WHILE_HANGING = 20
const LONGEST_HANG_MS = 2_000
/** For how long nothing may be handled before what is missing counts as lost. */
const PATIENCE_MS = 15_000
const LOOK_EVERY_MS = 50

/** What happens in a run, step by step. */
export class Script {
  readonly #scene: Scene
  #startedAtMs: number | undefined
  /** What to say once something has come to pass. */
  readonly #announcements: (() => string | undefined)[] = []

  constructor(scene: Scene) {
    this.#scene = scene
  }

  /** How long flights have been replayed. */
  get elapsedMs(): number {
    return this.#startedAtMs === undefined ? 0 : nowMs() - this.#startedAtMs
  }

  /** Says what has come to pass meanwhile. */
  announce(): void {
    for (const [i, announcement] of [...this.#announcements.entries()].toReversed()) {
      const line = announcement()
      if (line === undefined) continue
      this.#say(line)
      this.#announcements.splice(i, 1)
    }
  }

  async run(): Promise<void> {
    const { options, early, cast } = this.#scene
    const { board, workers } = await this.#startConsumers()
    if (early.aborted) return cast.drain()
    const producer = cast.startProducer()
    await producer.ready
    this.#startedAtMs = nowMs()
    const { eventsPerSecond } = options
    this.#say(
      `publishing about ${eventsPerSecond} flight updates a second for ${options.seconds} s`,
    )

    if (await this.#until(KILL_BOARD_AT)) await this.#restartBoard(board)
    if (await this.#until(KILL_WORKER_AT)) await this.#killWorker(workers)

    await Promise.race([producer.ended, aborted(early)])
    if (producer.running) this.#say('interrupted: the producer finishes what it has begun')
    await producer.drain()
    await this.#settle()
    this.#say('letting all processes finish')
    await cast.drain()
  }

  async #startConsumers(): Promise<{ board: RoleProcess; workers: readonly RoleProcess[] }> {
    const { cast } = this.#scene
    this.#say('starting the departures board, the delay statistics and four rebooking workers')
    const board = cast.startConsumer('board', BOARD, `${BOARD}-1`)
    const statistics = cast.startConsumer('statistics', STATISTICS, STATISTICS)
    const workers = WORKERS.map((name) => cast.startConsumer('rebooking', REBOOKING, name))
    await Promise.all([board, statistics, ...workers].map((one) => one.ready))
    return { board, workers }
  }

  async #restartBoard(board: RoleProcess): Promise<void> {
    const { cast, ledger, recoveries } = this.#scene
    const successor = `${BOARD}-2`
    this.#say(`killing the departures board with SIGKILL (process ${board.pid}), starting it again`)
    const recovery = new RestartRecovery(successor, nowMs())
    await board.kill('SIGKILL')
    ledger.onHandled((entry, name) => {
      recovery.see(entry, name)
    })
    recoveries.restart = { consumer: BOARD, recovery }
    this.#announcements.push(() =>
      recovery.durationMs === undefined
        ? undefined
        : `the departures board handles events again, ${seconds(recovery.durationMs)} after the kill`,
    )
    await cast.startConsumer('board', BOARD, successor).ready
  }

  /** Kills a worker when it is known to have events in hand: it hangs first, as a sick process would. */
  async #killWorker(workers: readonly RoleProcess[]): Promise<void> {
    const { ledger, recoveries } = this.#scene
    const worker = workers.at(-1)
    if (worker === undefined) return
    await worker.kill('SIGSTOP')
    const enough = ledger.published.count + EVENTS_WHILE_HANGING
    const latestMs = nowMs() + LONGEST_HANG_MS
    while (ledger.published.count < enough && nowMs() < latestMs) await sleep(LOOK_EVERY_MS)
    this.#say(`killing ${worker.name} for good (process ${worker.pid}), with events in hand`)
    const recovery = new TakeoverRecovery(worker.name, WORKERS, nowMs())
    recoveries.takeover = recovery
    ledger.onHandled((entry, name) => {
      recovery.see(entry, name)
    })
    await worker.kill('SIGKILL')
    this.#announcements.push(() =>
      recovery.durationMs === undefined
        ? undefined
        : `other workers have handled the ${count(recovery.events)} events that ${worker.name} had, ` +
          `${seconds(recovery.durationMs)} after the kill`,
    )
  }

  /** Waits until everything that was published is handled everywhere, as long as there is progress. */
  async #settle(): Promise<void> {
    const { ledger } = this.#scene
    let best = -1
    let bestAtMs = nowMs()
    for (;;) {
      ledger.read()
      const tallies = [...ledger.consumers.values()]
      if (tallies.every((tally) => tally.missing(ledger.published.sequences()) === 0)) return
      const handled = tallies.reduce((sum, tally) => sum + tally.distinct, 0)
      if (handled > best) {
        best = handled
        bestAtMs = nowMs()
      } else if (nowMs() - bestAtMs > PATIENCE_MS) {
        this.#say(
          `nothing was handled for ${PATIENCE_MS / 1_000} s: what is missing counts as lost`,
        )
        return
      }
      await sleep(LOOK_EVERY_MS)
    }
  }

  /** Waits for a point of the replay; answers false when the replay is to end before. */
  async #until(share: number): Promise<boolean> {
    const { early, options } = this.#scene
    const waitMs = share * options.seconds * 1_000 - this.elapsedMs
    await Promise.race([sleep(Math.max(waitMs, 0), undefined, { ref: false }), aborted(early)])
    return !early.aborted
  }

  #say(line: string): void {
    const { screen } = this.#scene
    screen.say(
      this.#startedAtMs === undefined ? line : `${(this.elapsedMs / 1_000).toFixed(1)} s: ${line}`,
    )
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    signal.addEventListener(
      'abort',
      () => {
        resolve()
      },
      { once: true },
    )
  })
}
