import type { Producer } from '@millrace/runtime'
import { nowMs } from '../clock.ts'
import {
  flightUpdates,
  type FlightUpdate,
  stampHeaders,
  updateOf,
} from '../flights/flight-updates.ts'
import type { ReplaySchedule } from '../flights/replay-schedule.ts'
import type { Act, Stage } from './role.ts'

/** How often the producer looks at the clock; what became due since then is published together. */
const TICK_MS = 2

/** Publishes flight updates when their time has come, and writes down what Redis has confirmed. */
export class Replay implements Act {
  readonly ready: Promise<void> = Promise.resolve()
  readonly done: Promise<void>
  readonly #stage: Stage
  readonly #schedule: ReplaySchedule
  readonly #producer: Producer<FlightUpdate>
  readonly #over = Promise.withResolvers<void>()
  readonly #unconfirmed = new Set<Promise<void>>()
  readonly #startedAtMs = nowMs()
  readonly #timer: NodeJS.Timeout
  #sequence = 0

  constructor(stage: Stage, schedule: ReplaySchedule) {
    this.#stage = stage
    this.#schedule = schedule
    this.#producer = stage.millrace.producer(flightUpdates)
    this.done = this.#over.promise
    this.#timer = setInterval(() => {
      this.#publishDue()
    }, TICK_MS)
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    await Promise.all(this.#unconfirmed)
  }

  status(): string {
    const { departureMs } = this.#schedule.record(this.#sequence)
    const day = new Date(departureMs).toISOString().slice(0, 16).replace('T', ' ')
    return `it is ${day}, time passes ${Math.round(this.#schedule.speed).toLocaleString('en')} times as fast`
  }

  #publishDue(): void {
    const elapsedMs = nowMs() - this.#startedAtMs
    const endMs = this.#stage.settings.seconds * 1_000
    const untilMs = Math.min(elapsedMs, endMs)
    while (this.#schedule.dueMs(this.#sequence) <= untilMs) this.#publish(this.#sequence++)
    if (elapsedMs >= endMs) this.#over.resolve()
  }

  #publish(sequence: number): void {
    const record = this.#schedule.record(sequence)
    const publishedAtMs = nowMs()
    const confirmed = this.#producer
      .publish(updateOf(record), {
        timeMs: record.departureMs,
        headers: stampHeaders({ sequence, publishedAtMs }),
      })
      .then(({ id }) => {
        const entry = { sequence, id, publishedAtMs, atMs: nowMs(), redelivered: false }
        this.#stage.journal.append(entry)
      })
    this.#unconfirmed.add(confirmed)
    confirmed.then(
      () => this.#unconfirmed.delete(confirmed),
      (error: unknown) => {
        this.#over.reject(error)
      },
    )
  }
}
