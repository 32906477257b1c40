import type { Core } from '../core.ts'
import { Delivery, type DeliveryContext } from '../delivery/context.ts'
import type { DeadLetterReason } from '../delivery/dead-letter-fields.ts'
import { channels } from '../diagnostics.ts'
import { messageOf, MillraceError } from '../errors.ts'
import { abortAtMs } from '../lease/observation.ts'
import type { Decode } from '../stream/decode.ts'
import type { Decoded, Event } from '../stream/event.ts'
import type { StreamKeys } from '../stream/keys.ts'
import type { StreamFeed } from '../tail/stream-feed.ts'
import type { Subscriber, Subscription } from '../tail/subscription.ts'
import { formatAttempts, type Grant } from './acquire-script.ts'
import { Backlog, type Entry } from './backlog.ts'
import type { CheckpointAnswer, CheckpointRequest } from './checkpoint-script.ts'
import { moveToDeadLetters } from './dead-letter-script.ts'
import { Lanes } from './lanes.ts'
import type { ResolvedConsumerOptions } from './options.ts'
import { afterFailure } from './outcome.ts'
import type { Pulse, Pulsed } from './pulse.ts'
import { formatRanges, inRanges } from './ranges.ts'

export type ConsumerHandler<Data> = (event: Event<Data>, context: DeliveryContext) => unknown

/**
 * Why a tenure ended:
 * - `lost`: somebody else holds the lease, or it could not be confirmed in time.
 * - `resync`: the lease is still ours, but the position on the server is not what we thought.
 * - `released`: given back on purpose, with everything stored that could be.
 * - `stopped`: the owner's policy or a permanent error.
 */
export type TenureEnd =
  | { readonly why: 'lost' | 'resync'; readonly detail: string }
  | { readonly why: 'released' }
  | { readonly why: 'stopped'; readonly error: MillraceError }

/** What the tenures of one consumer share. */
export interface TenureScope<Data> {
  readonly core: Core
  readonly streamName: string
  readonly keys: StreamKeys
  readonly options: ResolvedConsumerOptions
  readonly feed: StreamFeed
  readonly pulse: Pulse
  readonly decode: Decode<Data>
  readonly handler: ConsumerHandler<Data>
  /** Handlers that still run, by event id, whichever tenure started them. */
  readonly running: Map<string, Promise<void>>
  /** Whether the user has paused the consumer. */
  readonly isPaused: () => boolean
}

/** How long handlers may be started without letting other work of the process have a turn, in ms. */
const SLICE_MS = 10
/** How often running handlers are looked at for their time limit, as a part of it. */
const TIMEOUT_LOOKS = 10

/**
 * One period of holding the lease: reads, hands out, keeps the watermark and answers the pulse. It
 * ends once; the consumer then begins another one or gives up.
 */
export class Tenure<Data> implements Subscriber<Data>, Pulsed {
  readonly name: string
  readonly decode: Decode<Data>
  readonly latencyBudgetMs: number
  readonly creditEvents: number
  readonly creditBytes: number
  readonly leaseMs: number
  /** Settles when the tenure has ended; never rejects. */
  readonly ended: Promise<TenureEnd>
  readonly #scope: TenureScope<Data>
  readonly #grant: Grant
  readonly #lease: { readonly token: string }
  readonly #backlog: Backlog<Data>
  readonly #lanes: Lanes<Data>
  readonly #subscription: Subscription
  readonly #attempts: Map<string, number>
  readonly #end: (end: TenureEnd) => void
  readonly #timers = new Set<() => void>()
  #over = false
  /** Reading goes on only after the server confirmed token, incarnation and position. */
  #verifying = false
  /** The request whose answer counts for that: one that was made after the interruption. */
  #verification: CheckpointRequest | undefined
  #draining = false
  #idle: (() => void) | undefined
  #stored: string
  #named = ''
  #rangesStored = ''
  #attemptsDirty = false
  #releasing = false
  #abortTimer: (() => void) | undefined
  #drivePlanned = false
  /** Credit that is kept back while too much lies above the watermark. */
  #withheld = { events: 0, bytes: 0 }

  constructor(scope: TenureScope<Data>, grant: Grant, sentMs: number) {
    const { options } = scope
    this.#scope = scope
    this.#grant = grant
    this.name = options.name
    this.decode = scope.decode
    this.latencyBudgetMs = options.latencyBudgetMs
    this.creditEvents = options.maxInFlight
    this.creditBytes = options.maxInFlightBytes
    this.leaseMs = options.leaseMs
    this.#lease = Object.freeze({ token: grant.fence.token })
    this.#attempts = new Map(grant.attempts)
    this.#stored = grant.position
    this.#rangesStored = formatRanges(grant.ranges)
    this.#backlog = new Backlog(
      grant.position,
      grant.index,
      (id) => grant.dead.has(id) || inRanges(grant.ranges, id),
    )
    this.#lanes = new Lanes(options.concurrency)
    const { promise, resolve } = Promise.withResolvers<TenureEnd>()
    this.ended = promise
    this.#end = resolve
    this.#subscription = scope.feed.subscribe(this)
    this.#armAbort(sentMs)
  }

  get token(): string {
    return this.#grant.fence.token
  }

  /** The greatest id with everything at or before it done. */
  get watermark(): string {
    return this.#backlog.watermark
  }

  /** How many events are received and not done. */
  get inFlight(): number {
    return this.#backlog.size - this.#backlog.doneAbove
  }

  begin(): void {
    this.#scope.pulse.add(this)
    this.#scope.feed.adopt(this.#grant.incarnation)
    this.#subscription.resume(this.#backlog.watermark)
    this.#watchTimeouts()
  }

  /** Something that held handing out back is gone. */
  wake(): void {
    this.#drive()
  }

  /** Takes in nothing more and starts nothing; settles when no handler runs. */
  drain(): Promise<void> {
    this.#draining = true
    this.#subscription.suspend()
    this.#lanes.dropQueued()
    if (this.#lanes.active === 0) return Promise.resolve()
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#idle = resolve
    return promise
  }

  /** Stores what is done and gives the lease back, within the time that the lease leaves. */
  release(): Promise<TenureEnd> {
    this.#draining = true
    this.#releasing = true
    if (!this.#over) this.#scope.pulse.soon(this)
    return this.ended
  }

  /** Ends at once, without another word to Redis. */
  abandon(end: TenureEnd): void {
    this.#finish(end)
  }

  // What the tail calls.

  receive(batch: readonly Decoded<Data>[]): void {
    if (this.#over) return
    const nowMs = this.#scope.core.clock.monotonicMs()
    for (const decoded of batch) {
      const id = decoded.ok ? decoded.event.id : decoded.id
      const entry = this.#backlog.receive(decoded, this.#attempts.get(id) ?? 0, nowMs)
      if (entry === undefined) this.#release(decoded.bytes)
      else this.#lanes.add(this.#laneOf(decoded), entry)
    }
    this.#drive()
  }

  interrupted(reason: string): void {
    if (this.#over) return
    channels.loopFailed.publish({
      loop: 'consumer',
      stream: this.#scope.streamName,
      name: this.name,
      error: new Error(reason),
    })
    this.#lanes.dropQueued()
    this.#backlog.prepareReread()
    this.#withheld = { events: 0, bytes: 0 }
    this.#verifying = true
    this.#verification = undefined
    this.#scope.pulse.soon(this)
  }

  // What the pulse calls.

  request(): CheckpointRequest {
    const { watermark } = this.#backlog
    const ranges = formatRanges(this.#verifying ? [] : this.#backlog.ranges())
    const request: CheckpointRequest = {
      name: this.name,
      token: this.token,
      incarnation: this.#grant.incarnation,
      from: this.#stored,
      to: watermark === this.#stored ? '' : watermark,
      named: this.#named,
      index: this.#backlog.index,
      ranges: this.#verifying || ranges === this.#rangesStored ? undefined : ranges,
      attempts: this.#attemptsDirty ? this.#attemptsText() : undefined,
      release: this.#releasing,
    }
    if (this.#verifying) this.#verification = request
    return request
  }

  answered(request: CheckpointRequest, answer: CheckpointAnswer, sentMs: number): void {
    if (this.#over) return
    switch (answer.outcome) {
      case 'ok':
        this.#confirmed(request, answer.imageRecreated, sentMs)
        return
      case 'lost':
        this.#finish({ why: 'lost', detail: 'another holder took over' })
        return
      case 'recreated':
        this.#finish({ why: 'resync', detail: 'the stream was created anew' })
        return
      case 'rewind':
        this.#refused(request, answer.stored, answer.found)
        return
      case 'error':
        this.#finish({ why: 'resync', detail: answer.message })
        return
      default:
        answer satisfies never
    }
  }

  unanswered(error: unknown): void {
    this.#finish({ why: 'lost', detail: messageOf(error) })
  }

  #confirmed(request: CheckpointRequest, imageRecreated: boolean, sentMs: number): void {
    this.#named = ''
    this.#armAbort(sentMs)
    if (request.ranges !== undefined) this.#rangesStored = request.ranges
    if (request.attempts !== undefined) this.#attemptsDirty = false
    if (request.to !== '') {
      this.#stored = request.to
      const events = this.#backlog.passedCount
      this.#backlog.stored(request.to)
      channels.checkpointed.publish({
        stream: this.#scope.streamName,
        name: this.name,
        position: request.to,
        events: events - this.#backlog.passedCount,
      })
    }
    if (imageRecreated) this.#reportImage()
    if (request.release) {
      this.#finish({ why: 'released' })
    } else if (this.#releasing || (this.#verifying && request !== this.#verification)) {
      this.#scope.pulse.soon(this)
    } else if (this.#verifying) {
      // The server has what we had, so our results count; everything above the watermark is read again.
      this.#verifying = false
      this.#verification = undefined
      this.#subscription.resume(this.#backlog.watermark)
      this.#drive()
    }
  }

  /** REWIND: an entry lies where only processed ones should, or the position is not what we had. */
  #refused(request: CheckpointRequest, stored: string, found: string): void {
    const ours = stored === this.#stored && found !== '' && this.#backlog.hasProcessed(found)
    if (ours && this.#named !== found) {
      // A neighbour deleted the event at our watermark; the one before it is ours as well.
      this.#named = found
      this.#scope.pulse.soon(this)
      return
    }
    const detail = `the server refused ${request.to === '' ? this.#stored : request.to} over ${stored}`
    channels.positionChanged.publish({
      stream: this.#scope.streamName,
      name: this.name,
      change: 'rewound',
      from: this.#backlog.watermark,
      to: stored,
      detail,
    })
    this.#finish({ why: 'resync', detail })
  }

  #reportImage(): void {
    channels.positionChanged.publish({
      stream: this.#scope.streamName,
      name: this.name,
      change: 'group-recreated',
      from: this.#stored,
      to: this.#stored,
      detail: 'the Redis consumer group that shows this position had vanished',
    })
  }

  #laneOf(decoded: Decoded<Data>): string {
    if (this.#scope.options.order === 'stream' || !decoded.ok) return ''
    return decoded.event.key ?? ''
  }

  /** Starts handlers while there are turns, giving way to other work now and then. */
  #drive(): void {
    if (this.#drivePlanned) return
    const startMs = this.#scope.core.clock.monotonicMs()
    for (let n = 1; this.#mayStart(); n++) {
      const turn = this.#lanes.next()
      if (turn === undefined) break
      this.#start(turn.lane, turn.entry)
      if (n % 16 === 0 && this.#scope.core.clock.monotonicMs() - startMs > SLICE_MS) {
        this.#drivePlanned = true
        setImmediate(() => {
          this.#drivePlanned = false
          this.#drive()
        })
        return
      }
    }
  }

  #mayStart(): boolean {
    return !(this.#over || this.#verifying || this.#draining || this.#scope.isPaused())
  }

  #start(lane: string, entry: Entry<Data>): void {
    const { decoded } = entry
    const earlier = this.#scope.running.get(entry.id)
    if (earlier !== undefined) {
      // An earlier tenure's handler still has this event: never a second run beside the first.
      entry.phase = 'held'
      this.#lanes.hold(lane)
      void earlier.then(() => {
        this.#unhold(lane, entry)
      })
      return
    }
    if (decoded === undefined || !decoded.ok) {
      entry.phase = 'running'
      this.#invalid(lane, entry, decoded?.error ?? new Error('the event is gone'))
      return
    }
    entry.phase = 'running'
    const delivery = new Delivery(
      entry.attempts + 1,
      entry.attempts > 0 || this.#grant.unclean,
      this.#lease,
    )
    entry.delivery = delivery
    const startedMs = this.#scope.core.clock.monotonicMs()
    let result: unknown
    try {
      result = this.#scope.handler(decoded.event, delivery)
    } catch (error) {
      this.#settled(lane, entry, delivery, startedMs, error, true)
      return
    }
    if (!isThenable(result)) {
      this.#settled(lane, entry, delivery, startedMs, undefined, false)
      return
    }
    this.#startedAt.set(entry, startedMs)
    const settled = Promise.resolve(result).then(
      () => {
        this.#unregister(entry)
        this.#settled(lane, entry, delivery, startedMs, undefined, false)
      },
      (error: unknown) => {
        this.#unregister(entry)
        this.#settled(lane, entry, delivery, startedMs, error, true)
      },
    )
    this.#scope.running.set(entry.id, settled)
  }

  readonly #startedAt = new Map<Entry<Data>, number>()

  #unregister(entry: Entry<Data>): void {
    this.#scope.running.delete(entry.id)
    this.#startedAt.delete(entry)
  }

  #settled(
    lane: string,
    entry: Entry<Data>,
    delivery: Delivery,
    startedMs: number,
    error: unknown,
    threw: boolean,
  ): void {
    const timedOut = delivery.abortReason !== undefined && !this.#over && !this.#draining
    const failed = threw || timedOut
    const cause = threw ? error : delivery.abortReason
    if (channels.handled.hasSubscribers) {
      const nowMs = this.#scope.core.clock.monotonicMs()
      channels.handled.publish({
        stream: this.#scope.streamName,
        name: this.name,
        id: entry.id,
        attempt: delivery.attempt,
        ok: !failed,
        waitedMs: startedMs - entry.receivedMs,
        durationMs: nowMs - startedMs,
        error: failed ? asError(cause) : undefined,
      })
    }
    if (this.#over) return
    if (!failed) {
      if (entry.attempts > 0) this.#forgetAttempts(entry.id)
      this.#complete(lane, entry)
      return
    }
    if (delivery.abortReason !== undefined && this.#draining) {
      // Aborted because we close: not the handler's fault, and not done either.
      entry.phase = 'queued'
      this.#lanes.done(lane)
      this.#noteIdle()
      return
    }
    this.#failed(lane, entry, cause)
  }

  #complete(lane: string, entry: Entry<Data>): void {
    const { bytes } = entry
    this.#backlog.settle(entry)
    this.#lanes.done(lane)
    this.#release(bytes)
    if (this.#backlog.passedCount >= this.#scope.options.checkpointEvery) this.#scope.pulse.soon(this)
    this.#noteIdle()
    this.#drive()
  }

  #failed(lane: string, entry: Entry<Data>, error: unknown): void {
    const nowMs = this.#scope.core.clock.monotonicMs()
    entry.attempts++
    if (entry.heldSinceMs === 0) entry.heldSinceMs = nowMs
    this.#attempts.set(entry.id, entry.attempts)
    this.#attemptsDirty = true
    this.#scope.pulse.soon(this)
    const next = afterFailure(
      error,
      entry.attempts,
      nowMs - entry.heldSinceMs,
      entry.id,
      this.#scope.options,
    )
    switch (next.action) {
      case 'retry':
        entry.phase = 'held'
        this.#lanes.hold(lane)
        this.#noteIdle()
        this.#after(next.afterMs, () => {
          this.#unhold(lane, entry)
        })
        this.#drive()
        return
      case 'dead-letter':
        this.#toDeadLetters(lane, entry, next.reason, messageOf(error))
        return
      case 'stop':
        this.#stop('HANDLER_FAILED', `the handler failed ${entry.attempts} times at ${entry.id}`, error)
        return
      default:
        next satisfies never
    }
  }

  #unhold(lane: string, entry: Entry<Data>): void {
    if (this.#over) return
    entry.phase = 'queued'
    this.#lanes.unhold(lane)
    this.#drive()
  }

  #invalid(lane: string, entry: Entry<Data>, error: Error): void {
    switch (this.#scope.options.onInvalid) {
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
        this.#scope.options.onInvalid satisfies never
    }
  }

  #toDeadLetters(lane: string, entry: Entry<Data>, reason: DeadLetterReason, error: string): void {
    const { core, keys, options } = this.#scope
    const moving = core.connections.call('data', keys.tag, (session) =>
      moveToDeadLetters(session, keys, {
        name: this.name,
        token: this.token,
        id: entry.id,
        reason,
        attempts: entry.attempts,
        error,
        cap: options.maxDeadLetters,
      }),
    )
    void moving.then(
      (outcome) => {
        if (this.#over) return
        if (outcome === 'lost') this.#finish({ why: 'lost', detail: 'another holder took over' })
        else if (outcome === 'full') {
          this.#stop('DEAD_LETTER_FULL', `${options.maxDeadLetters} dead letters lie there already`)
        } else {
          this.#forgetAttempts(entry.id)
          this.#complete(lane, entry)
        }
      },
      (failure: unknown) => {
        // Redis is away: the event stays where it is, and is tried again with the next tenure.
        this.#finish({ why: 'resync', detail: messageOf(failure) })
      },
    )
  }

  #forgetAttempts(id: string): void {
    if (this.#attempts.delete(id)) this.#attemptsDirty = true
  }

  #attemptsText(): string {
    return formatAttempts(this.#attempts)
  }

  #stop(code: 'DEAD_LETTER_FULL' | 'HANDLER_FAILED' | 'PAYLOAD_INVALID', text: string, cause?: unknown): void {
    this.#finish({
      why: 'stopped',
      error: new MillraceError(code, `Consumer ${this.name} stopped: ${text}`, {
        cause,
        name: this.name,
        stream: this.#scope.streamName,
      }),
    })
  }

  /** Credit goes back to the subscription unless too many events wait for one below them. */
  #release(bytes: number): void {
    this.#withheld.events++
    this.#withheld.bytes += bytes
    if (this.#backlog.doneAbove > MAX_AHEAD) return
    const { events, bytes: all } = this.#withheld
    this.#withheld = { events: 0, bytes: 0 }
    this.#subscription.release(events, all)
  }

  /** The lease counts from when the last confirmed beat was sent, not from when the answer came. */
  #armAbort(sentMs: number): void {
    this.#abortTimer?.()
    const { clock } = this.#scope.core
    const leftMs = Math.max(abortAtMs(sentMs, this.leaseMs) - clock.monotonicMs(), 0)
    this.#abortTimer = clock.after(leftMs, () => {
      this.#finish({ why: 'lost', detail: 'no beat was confirmed within the lease' })
    })
  }

  #watchTimeouts(): void {
    const { clock } = this.#scope.core
    const limitMs = this.#scope.options.handlerTimeoutMs
    const look = (): void => {
      const nowMs = clock.monotonicMs()
      for (const [entry, startedMs] of this.#startedAt) {
        if (nowMs - startedMs < limitMs) continue
        entry.delivery?.abort(
          new MillraceError('HANDLER_FAILED', `The handler took longer than ${limitMs} ms`, {
            name: this.name,
          }),
        )
      }
      this.#after(limitMs / TIMEOUT_LOOKS, look)
    }
    this.#after(limitMs / TIMEOUT_LOOKS, look)
  }

  /** Aborts the handlers that still run, when closing may wait for them no longer. */
  abortHandlers(reason: MillraceError): void {
    for (const entry of this.#startedAt.keys()) entry.delivery?.abort(reason)
  }

  #after(ms: number, action: () => void): void {
    const cancel = this.#scope.core.clock.after(ms, () => {
      this.#timers.delete(cancel)
      action()
    })
    this.#timers.add(cancel)
  }

  #noteIdle(): void {
    if (this.#draining && this.#lanes.active === 0) this.#idle?.()
  }

  #finish(end: TenureEnd): void {
    if (this.#over) return
    this.#over = true
    this.#abortTimer?.()
    for (const cancel of this.#timers) cancel()
    this.#scope.pulse.remove(this)
    this.#subscription.close()
    if (end.why !== 'released') {
      this.abortHandlers(
        new MillraceError('LEASE_LOST', `Consumer ${this.name} no longer holds its lease`, {
          name: this.name,
        }),
      )
    }
    this.#idle?.()
    this.#end(end)
  }
}

/** How many events may be done above the watermark before reading pauses. */
const MAX_AHEAD = 10_000

function isThenable(value: unknown): boolean {
  return (
    typeof value === 'object' &&
    value !== null &&
    typeof Reflect.get(value, 'then') === 'function'
  )
}

function asError(cause: unknown): Error {
  return cause instanceof Error ? cause : new Error(String(cause))
}
