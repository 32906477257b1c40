import { fromRedis, isPassing, troubleOf } from '../connection/redis-errors.ts'
import type { Session } from '../connection/session.ts'
import type { Core, StreamLike } from '../core.ts'
import { channels } from '../diagnostics.ts'
import { MillraceError } from '../errors.ts'
import { DrainRate } from './drain-rate.ts'
import { askFigures, type FiguresAnswer, type FiguresRequest } from './figures-script.ts'
import {
  afterFigures,
  afterRefusal,
  afterSuccess,
  CALM,
  causesOf,
  type Levels,
  levelOf,
} from './levels.ts'
import type { ResolvedPressureOptions } from './options.ts'
import {
  allowedPerSecond,
  ASK_EVERY_MS,
  SOONEST_ASK_MS,
  askAfterEvents,
  probeInMs,
  retryAfterMs,
  type Situation,
} from './pace.ts'
import { NO_PRESSURE, type Pressure, type PressureFigures } from './pressure.ts'

/** How long to keep quiet after Redis has refused the figures themselves, in milliseconds. */
const REFUSED_PAUSE_MS = 10_000
const PROBE_DEADLINE_MS = 2_000

/**
 * Knows the pressure of one producer's stream. It asks for figures behind a batch that is sent anyway, and
 * by itself only while the level is not normal and nothing is sent.
 */
export class PressureWatch {
  readonly #core: Core
  readonly #stream: StreamLike
  readonly #options: ResolvedPressureOptions
  readonly #request: FiguresRequest
  /** Told after each change of the level, and after each answer while it is not normal. */
  readonly #onNews: (pressure: Pressure) => void
  readonly #drain = new DrainRate()
  readonly #stopped = new AbortController()
  #levels: Levels = CALM
  #pressure: Pressure = NO_PRESSURE
  #figures: PressureFigures | undefined
  #isAsking = false
  /** By the monotonic clock. */
  #askedAtMs = Number.NEGATIVE_INFINITY
  #eventsSince = 0
  #askAfterEvents = 0
  #freelyPerSecond = Number.POSITIVE_INFINITY
  #cancelLook: (() => void) | undefined
  #probesInVain = 0
  /** How often Redis has refused to store. */
  #refusals = 0

  constructor(
    core: Core,
    stream: StreamLike,
    options: ResolvedPressureOptions,
    onNews: (pressure: Pressure) => void,
  ) {
    this.#core = core
    this.#stream = stream
    this.#options = options
    this.#onNews = onNews
    this.#request = {
      keys: core.keysOf(stream),
      abandonedAfterMs: stream.retention.abandonedAfterMs,
      of: options.of,
    }
  }

  get pressure(): Pressure {
    return this.#pressure
  }

  /** How fast a delayed producer may go on. */
  get allowedPerSecond(): number {
    return allowedPerSecond(this.#situation())
  }

  /** What a publish is refused with. */
  refusal(cause?: unknown): MillraceError {
    const { causes, figures } = this.#pressure
    const waitMs = retryAfterMs(this.#situation())
    const lag =
      figures?.slowest === undefined ? '' : `, ${figures.slowest} has ${figures.lagEvents}`
    return new MillraceError(
      'PRESSURE',
      `Event stream ${this.#stream.name} is under pressure (${causes.join(', ')}${lag}); try again in ${waitMs} ms`,
      {
        stream: this.#stream.name,
        retryAfterMs: waitMs,
        ...(cause === undefined ? {} : { cause }),
      },
    )
  }

  /** What becomes of a batch that Redis has refused for lack of memory; undefined if it waits. */
  errorOf(outOfMemory: MillraceError): MillraceError | undefined {
    const { policy } = this.#options
    switch (policy) {
      case 'signal':
      case 'spool':
        return outOfMemory
      case 'reject':
        return this.refusal(outOfMemory)
      case 'delay':
        return undefined
      default:
        return policy satisfies never
    }
  }

  /** A batch is on its way on this session; figures are asked for right behind it if they are due. */
  sent(session: Session, events: number): void {
    if (!this.#options.isWatched) return
    this.#eventsSince += events
    if (this.#isAsking) return
    const nowMs = this.#core.clock.monotonicMs()
    const sinceMs = nowMs - this.#askedAtMs
    const isNear = this.#eventsSince >= this.#askAfterEvents
    if (sinceMs < (isNear ? SOONEST_ASK_MS : ASK_EVERY_MS)) return
    // Something is sent, so probes begin anew when that ends.
    this.#probesInVain = 0
    void this.#ask(session, nowMs)
  }

  /** Redis has stored a batch. */
  appended(): void {
    if (this.#levels.outOfMemory) this.#become(afterSuccess(this.#levels))
  }

  /** Redis has refused a batch for lack of memory. */
  ranOutOfMemory(): void {
    if (this.#stopped.signal.aborted) return
    this.#refusals += 1
    this.#become(afterRefusal(this.#levels, this.#options.marks))
  }

  stop(): void {
    this.#stopped.abort()
    this.#cancelLook?.()
    this.#cancelLook = undefined
  }

  async #ask(session: Session, nowMs: number): Promise<void> {
    const sinceMs = nowMs - this.#askedAtMs
    // After a longer silence it would be the rate of the silence.
    const isTelling = this.#eventsSince > 0 && sinceMs > 0 && sinceMs < 4 * ASK_EVERY_MS
    const isUnknown = this.#freelyPerSecond === Number.POSITIVE_INFINITY
    if (isTelling && (isUnknown || this.#pressure.level === 'normal'))
      this.#freelyPerSecond = (this.#eventsSince / sinceMs) * 1_000
    this.#askedAtMs = nowMs
    this.#eventsSince = 0
    this.#isAsking = true
    this.#cancelLook?.()
    this.#cancelLook = undefined
    try {
      const refusals = this.#refusals
      const answer = await askFigures(session, this.#request)
      // Figures from before a refusal would call off what it has told.
      if (!this.#stopped.signal.aborted && refusals === this.#refusals) this.#learn(answer)
    } catch (error) {
      this.#failed(error)
      return
    } finally {
      this.#isAsking = false
      if (this.#pressure.level !== 'normal') this.#armProbe()
    }
    if (this.#isBehind()) this.#lookIn(SOONEST_ASK_MS)
  }

  #learn({ figures, processed }: FiguresAnswer): void {
    this.#drain.sample(processed, this.#core.clock.monotonicMs())
    this.#figures = figures
    this.#become(afterFigures(this.#levels, figures, this.#options.marks))
    this.#askAfterEvents = askAfterEvents(this.#situation())
  }

  /** What was sent since the question may have been the end of a burst: nobody else would ask. */
  #isBehind(): boolean {
    return this.#eventsSince >= this.#askAfterEvents && this.#eventsSince > 0
  }

  /** Figures are not worth a failed publish; whoever looks on is told unless it passes by itself. */
  #failed(error: unknown): void {
    if (this.#stopped.signal.aborted || isPassing(troubleOf(error))) return
    this.#askedAtMs = this.#core.clock.monotonicMs() + REFUSED_PAUSE_MS
    channels.loopFailed.publish({
      loop: 'pressure',
      stream: this.#stream.name,
      name: '',
      error: fromRedis(error, { stream: this.#stream.name }),
    })
  }

  #become(levels: Levels): void {
    const before = this.#pressure
    this.#levels = levels
    const level = levelOf(levels)
    const causes = causesOf(levels)
    this.#pressure = Object.freeze({ level, causes, figures: this.#figures })
    const isChanged = level !== before.level || causes.join() !== before.causes.join()
    if (isChanged) this.#probesInVain = 0
    if (level === 'normal') {
      this.#cancelLook?.()
      this.#cancelLook = undefined
    } else if (this.#cancelLook === undefined && !this.#isAsking) this.#armProbe()
    if (isChanged) this.#report(before)
    if (isChanged || level !== 'normal') this.#onNews(this.#pressure)
  }

  /** Looks again after a while, in case nothing is sent that figures could ride along with. */
  #armProbe(): void {
    this.#lookIn(probeInMs(this.#situation(), this.#probesInVain++))
  }

  #lookIn(ms: number): void {
    this.#cancelLook?.()
    this.#cancelLook = undefined
    if (this.#stopped.signal.aborted) return
    this.#cancelLook = this.#core.clock.after(ms, () => {
      this.#cancelLook = undefined
      void this.#look()
    })
  }

  /** Never rejects. */
  async #look(): Promise<void> {
    if (this.#isAsking) return
    try {
      const session = await this.#core.connections.session('data', this.#request.keys.tag, {
        signal: this.#stopped.signal,
        deadlineMs: PROBE_DEADLINE_MS,
      })
      if (!this.#isAsking) await this.#ask(session, this.#core.clock.monotonicMs())
    } catch {
      // Redis is away; that is told elsewhere.
      if (this.#pressure.level !== 'normal' && !this.#core.connections.closed.aborted)
        this.#armProbe()
    }
  }

  #situation(): Situation {
    return {
      levels: this.#levels,
      figures: this.#figures,
      marks: this.#options.marks,
      drainPerSecond: this.#drain.perSecond,
      freelyPerSecond: this.#freelyPerSecond,
    }
  }

  #report(before: Pressure): void {
    channels.pressureChanged.publish({
      stream: this.#stream.name,
      before: before.level,
      ...this.#pressure,
    })
  }
}
