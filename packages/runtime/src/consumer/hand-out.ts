import { type Downloads, isClaimed } from '../blob/downloads.ts'
import { PayloadDesk } from '../blob/payload-desk.ts'
import type { Clock } from '../lifecycle/clock.ts'
import { Delivery, type DeliveryContext } from '../delivery/context.ts'
import type { DeadLetterReason } from '../delivery/dead-letter-fields.ts'
import { isThenable } from '../delivery/thenable.ts'
import { isMillraceError, messageOf, MillraceError } from '../errors.ts'
import { isRedriven } from '../dead-letters/redriven-entry.ts'
import type { Claimed, Event } from '../stream/event.ts'
import type { Entry } from './backlog.ts'
import { HandledReports, isTooSlow } from './handled-reports.ts'
import { Lanes } from './lanes.ts'
import type { ResolvedConsumerOptions } from './options.ts'
import { afterFailure } from './outcome.ts'
import type { StartVerdict } from './quarantine.ts'

export type ConsumerHandler<Data> = (event: Event<Data>, context: DeliveryContext) => unknown

/** What becomes of an event, as far as its owner has to know: the tenure, or its redriven events. */
export interface EntryOwner<Data> {
  /**
   * In quarantine: records the start of an event before its handler runs, and answers whether the
   * handler may run at all. Undefined outside quarantine.
   */
  recordStart(entry: Entry<Data>): Promise<StartVerdict> | undefined
  /** The event is processed, or settled otherwise. */
  completed(entry: Entry<Data>): void
  /** The number of attempts of an event is to be stored. */
  attemptFailed(entry: Entry<Data>): void
  /** Moves the event to the dead letters; answers whether it counts as completed now. */
  moveToDeadLetters(entry: Entry<Data>, reason: DeadLetterReason, error: string): Promise<boolean>
}

/** What the hand-out asks of the tenure that it works for, and tells it. */
export interface HandOutOwner<Data> extends EntryOwner<Data> {
  /** Whether a handler may be started now; the lease is judged by the clock, not by timers, which a stalled process runs late. */
  mayStart(nowMs: number): boolean
  /**
   * Undefined while the lease is certain and reading undisturbed; else resolves when the server has
   * confirmed what the owner knows, which may leave new doubt.
   */
  doubtSettled(nowMs: number): Promise<void> | undefined
  /** The owner's policy says stop. */
  stop(error: MillraceError): void
}

/** The owner of redriven events. */
export interface RedriveOwner<Data> extends EntryOwner<Data> {
  /** A handler was told to give up, and did: the event is not done, and no attempt is to be counted. */
  givenUp(entry: Entry<Data>): void
}

/** A handler that has an event and has not settled. */
export interface RunningHandler {
  readonly delivery: Delivery
  readonly startedMs: number
  /** Resolves when it has settled, either way. */
  readonly settled: Promise<void>
}

export interface HandOutSettings<Data> {
  readonly clock: Clock
  readonly stream: string
  readonly downloads: Downloads
  readonly options: ResolvedConsumerOptions
  readonly handler: ConsumerHandler<Data>
  readonly lease: { readonly token: string }
  /** Whether events may have been started by a holder before. */
  readonly unclean: boolean
  /** Handlers that still run, by event id, whichever tenure started them. */
  readonly running: Map<string, RunningHandler>
}

/** How long handlers may be started without letting other work of the process have a turn, in ms. */
const SLICE_MS = 10
/** How often running handlers are looked at for their time limit, as a part of it. */
const TIMEOUT_LOOKS = 10

/** Starts handlers lane by lane, sees what becomes of them, and tries again what failed. */
export class HandOut<Data> {
  readonly #settings: HandOutSettings<Data>
  readonly #owner: HandOutOwner<Data>
  readonly #redrives: RedriveOwner<Data>
  readonly #lanes: Lanes<Data>
  readonly #reports: HandledReports
  #watching = false
  /** Made with the first payload that lies elsewhere. */
  #desk: PayloadDesk<Data, Entry<Data>> | undefined
  /** Made when first needed: an idle consumer has no timers. */
  #timers: Set<() => void> | undefined
  #driving = false
  /** When the current turn of the event loop began, as far as we know. */
  #turnMs = 0
  /** This turn has been used long enough. */
  #givingWay = false
  /** The time, when it has just been looked at; whoever drives later has to look again. */
  #justMs: number | undefined
  #closed = false
  #onIdle: (() => void) | undefined

  constructor(
    settings: HandOutSettings<Data>,
    owner: HandOutOwner<Data>,
    redrives: RedriveOwner<Data>,
  ) {
    this.#settings = settings
    this.#owner = owner
    this.#redrives = redrives
    this.#lanes = new Lanes(settings.options.concurrency)
    this.#reports = new HandledReports(settings.clock, settings.stream, settings.options.name)
  }

  add(entry: Entry<Data>): void {
    this.#lanes.add(this.#laneOf(entry), entry)
  }

  /**
   * Starts handlers while there are turns, giving way to other work of the process now and then.
   * @param turnMs the time, where a turn of the event loop is known to have begun
   */
  drive(turnMs?: number): void {
    // A handler that is done at once leads back here; the loop below takes the next event anyway.
    if (this.#driving) return
    this.#driving = true
    if (turnMs !== undefined) this.#turnMs = turnMs
    for (let knownMs = turnMs ?? this.#justMs; this.#lanes.hasNext; knownMs = this.#justMs) {
      this.#justMs = undefined
      const nowMs = knownMs ?? this.#settings.clock.monotonicMs()
      if (this.#closed || !this.#owner.mayStart(nowMs) || this.#mustGiveWay(nowMs)) break
      const turn = this.#lanes.next()
      if (turn === undefined) break
      this.#start(turn.lane, turn.entry, nowMs)
    }
    this.#justMs = undefined
    this.#driving = false
  }

  /**
   * Whether this turn of the event loop has been used long enough. Handlers that settle without I/O
   * come back here again and again within one turn; answers from Redis would wait for all of them.
   */
  #mustGiveWay(nowMs: number): boolean {
    if (!this.#givingWay && nowMs > this.#turnMs + SLICE_MS) {
      this.#givingWay = true
      setImmediate(() => {
        this.#givingWay = false
        this.drive(this.#settings.clock.monotonicMs())
      })
    }
    return this.#givingWay
  }

  /** Forgets what was not started. */
  dropQueued(): void {
    this.#lanes.dropQueued()
  }

  /** How many lanes have a turn. */
  get active(): number {
    return this.#lanes.active
  }

  /** Settles when no handler runs. */
  idle(): Promise<void> {
    if (this.#lanes.active === 0) return Promise.resolve()
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#onIdle = resolve
    return promise
  }

  /** Fires the signals of all running handlers. */
  abort(reason: MillraceError): void {
    for (const { delivery } of this.#settings.running.values()) delivery.abort(reason)
    this.#desk?.abort()
  }

  /** Starts nothing more; what still runs is nobody's business here any more. */
  close(): void {
    this.#closed = true
    for (const cancel of this.#timers ?? []) cancel()
    this.#desk?.close()
    this.#onIdle?.()
  }

  #ownerOf(entry: Entry<Data>): EntryOwner<Data> {
    return isRedriven(entry) ? this.#redrives : this.#owner
  }

  #laneOf(entry: Entry<Data>): string {
    if (isRedriven(entry)) return entry.lane
    const { decoded } = entry
    if (this.#settings.options.order === 'stream' || decoded === undefined || !decoded.ok) return ''
    return (isClaimed(decoded) ? decoded.key : decoded.event.key) ?? ''
  }

  #start(lane: string, entry: Entry<Data>, startedMs: number): void {
    const earlier = this.#settings.running.get(entry.id)
    if (earlier !== undefined) {
      // An earlier tenure's handler still has this event: never a second run beside the first.
      this.#hold(lane, entry)
      void earlier.settled.then(() => {
        this.#unhold(lane, entry)
      })
      return
    }
    entry.phase = 'running'
    const { decoded } = entry
    if (decoded === undefined || !decoded.ok) {
      this.#invalid(lane, entry, decoded?.error ?? new Error('the event is gone'))
      return
    }
    const recorded = this.#ownerOf(entry).recordStart(entry)
    if (recorded === undefined) {
      if (isClaimed(decoded)) this.#fetch(lane, entry, decoded)
      else this.#handle(lane, entry, decoded.event, startedMs)
      return
    }
    void recorded.then((verdict) => {
      if (this.#closed || verdict === 'wait') return
      if (verdict === 'run') {
        if (isClaimed(decoded)) this.#fetch(lane, entry, decoded)
        else this.#handleWhenCertain(lane, entry, decoded.event)
      } else this.#toDeadLetters(lane, entry, 'exhausted', DIED_WITH_IT)
    })
  }

  /** The payload lies elsewhere; a store that cannot be asked counts as a failed attempt. */
  #fetch(lane: string, entry: Entry<Data>, claimed: Claimed<Data>): void {
    const { downloads, options } = this.#settings
    this.#desk ??= new PayloadDesk(downloads, options.handlerTimeoutMs)
    this.#desk.fetch(entry, claimed).then(
      (decoded) => {
        if (this.#closed) this.#desk?.settled(entry)
        else if (decoded.ok) this.#handleWhenCertain(lane, entry, decoded.event)
        else this.#invalid(lane, entry, decoded.error)
      },
      (error: unknown) => {
        if (this.#closed) return
        if (isMillraceError(error, 'ABORTED')) this.#givenUp(lane, entry)
        else this.#failed(lane, entry, error)
      },
    )
  }

  /** To record a start, or to fetch a payload, may have taken longer than the lease. */
  #handleWhenCertain(lane: string, entry: Entry<Data>, event: Event<Data>): void {
    if (this.#closed) return
    const nowMs = this.#settings.clock.monotonicMs()
    const settled = this.#owner.doubtSettled(nowMs)
    if (settled === undefined) this.#handle(lane, entry, event, nowMs)
    else
      void settled.then(() => {
        this.#handleWhenCertain(lane, entry, event)
      })
  }

  #handle(lane: string, entry: Entry<Data>, event: Event<Data>, startedMs: number): void {
    const attempt = entry.counted ? entry.attempts : entry.attempts + 1
    const redelivered = attempt > 1 || this.#settings.unclean
    const delivery = new Delivery(attempt, redelivered, this.#settings.lease, isRedriven(entry))
    this.#desk?.started(entry)
    let result: unknown
    try {
      result = this.#settings.handler(event, delivery)
    } catch (error) {
      this.#settled(lane, entry, delivery, startedMs, { error })
      return
    }
    if (isThenable(result)) this.#await(lane, entry, delivery, startedMs, result)
    else this.#settled(lane, entry, delivery, startedMs, undefined)
  }

  #await(
    lane: string,
    entry: Entry<Data>,
    delivery: Delivery,
    startedMs: number,
    result: PromiseLike<unknown>,
  ): void {
    if (!this.#watching) this.#watchTimeouts()
    const done = (failure: { error: unknown } | undefined): void => {
      this.#settings.running.delete(entry.id)
      this.#settled(lane, entry, delivery, startedMs, failure)
    }
    const settled = Promise.resolve(result).then(
      () => {
        done(undefined)
      },
      (error: unknown) => {
        done({ error })
      },
    )
    this.#settings.running.set(entry.id, { delivery, startedMs, settled })
  }

  #settled(
    lane: string,
    entry: Entry<Data>,
    delivery: Delivery,
    startedMs: number,
    thrown: { readonly error: unknown } | undefined,
  ): void {
    const { abortReason } = delivery
    this.#desk?.settled(entry)
    // Too slow counts as failed even if the handler came to its end; other aborts are not its fault.
    const tooSlow = isTooSlow(abortReason)
    const failure = thrown ?? (tooSlow ? { error: abortReason } : undefined)
    const settledMs = this.#reports.add(entry, delivery, startedMs, failure)
    if (this.#closed) return
    if (failure === undefined) {
      this.#justMs = settledMs
      this.#complete(lane, entry)
    } else if (abortReason !== undefined && !tooSlow) {
      this.#givenUp(lane, entry)
    } else {
      this.#failed(lane, entry, failure.error)
    }
  }

  /** It was told to give up because we close: not done, and no attempt to count. */
  #givenUp(lane: string, entry: Entry<Data>): void {
    entry.phase = 'queued'
    if (isRedriven(entry)) this.#redrives.givenUp(entry)
    this.#lanes.done(lane)
    this.#noteIdle()
  }

  #complete(lane: string, entry: Entry<Data>): void {
    this.#ownerOf(entry).completed(entry)
    this.#lanes.done(lane)
    this.#noteIdle()
    this.drive()
  }

  #failed(lane: string, entry: Entry<Data>, error: unknown): void {
    const { clock, options } = this.#settings
    const nowMs = clock.monotonicMs()
    if (!entry.counted) entry.attempts++
    entry.counted = false
    if (entry.heldSinceMs === 0) entry.heldSinceMs = nowMs
    this.#ownerOf(entry).attemptFailed(entry)
    // A redriven event that fails for good goes back to where it came from, whatever the policy is.
    const policy = isRedriven(entry) ? { ...options, onExhausted: 'dead-letter' as const } : options
    const next = afterFailure(error, entry.attempts, nowMs - entry.heldSinceMs, entry.id, policy)
    switch (next.action) {
      case 'retry':
        this.#hold(lane, entry)
        this.#after(next.afterMs, () => {
          this.#unhold(lane, entry)
        })
        return
      case 'dead-letter':
        this.#toDeadLetters(lane, entry, next.reason, messageOf(error))
        return
      case 'stop':
        this.#stop(
          'HANDLER_FAILED',
          `the handler failed ${entry.attempts} times at ${entry.id}`,
          error,
        )
        return
      default:
        next satisfies never
    }
  }

  #invalid(lane: string, entry: Entry<Data>, error: Error): void {
    const onInvalid = isRedriven(entry) ? 'dead-letter' : this.#settings.options.onInvalid
    switch (onInvalid) {
      case 'skip':
        this.#complete(lane, entry)
        return
      case 'dead-letter':
        this.#toDeadLetters(lane, entry, 'invalid', error.message)
        return
      case 'stop':
        this.#stop('PAYLOAD_INVALID', error.message, error)
        return
      default:
        onInvalid satisfies never
    }
  }

  #toDeadLetters(lane: string, entry: Entry<Data>, reason: DeadLetterReason, error: string): void {
    const moving = this.#ownerOf(entry).moveToDeadLetters(entry, reason, error)
    void moving.then((moved) => {
      if (moved && !this.#closed) this.#complete(lane, entry)
    })
  }

  #hold(lane: string, entry: Entry<Data>): void {
    entry.phase = 'held'
    this.#lanes.hold(lane)
    this.#noteIdle()
    this.drive()
  }

  #unhold(lane: string, entry: Entry<Data>): void {
    if (this.#closed) return
    entry.phase = 'queued'
    this.#lanes.unhold(lane)
    this.drive()
  }

  #stop(code: 'HANDLER_FAILED' | 'PAYLOAD_INVALID', text: string, cause: unknown): void {
    const { options, stream } = this.#settings
    this.#owner.stop(
      new MillraceError(code, `Consumer ${options.name} stopped: ${text}`, {
        cause,
        name: options.name,
        stream,
      }),
    )
  }

  /** Looks at running handlers now and then, as long as there are any. */
  #watchTimeouts(): void {
    const { clock, options } = this.#settings
    const limitMs = options.handlerTimeoutMs
    this.#watching = true
    this.#after(limitMs / TIMEOUT_LOOKS, () => {
      this.#watching = false
      const nowMs = clock.monotonicMs()
      for (const { delivery, startedMs } of this.#settings.running.values()) {
        if (nowMs - startedMs < limitMs) continue
        delivery.abort(
          new MillraceError('HANDLER_FAILED', `The handler took longer than ${limitMs} ms`, {
            name: options.name,
          }),
        )
      }
      if (this.#settings.running.size > 0) this.#watchTimeouts()
    })
  }

  #after(ms: number, action: () => void): void {
    const cancel = this.#settings.clock.after(ms, () => {
      this.#timers?.delete(cancel)
      action()
    })
    this.#timers ??= new Set()
    this.#timers.add(cancel)
  }

  #noteIdle(): void {
    if (this.#lanes.active === 0) this.#onIdle?.()
  }
}

const DIED_WITH_IT = 'the process died each time while it handled this event'
