import type { Core } from '../core.ts'
import type { DeadLetterReason } from '../delivery/dead-letter-fields.ts'
import { channels } from '../diagnostics.ts'
import { messageOf, MillraceError } from '../errors.ts'
import { abortAtMs } from '../lease/observation.ts'
import type { Decode } from '../stream/decode.ts'
import type { Decoded } from '../stream/event.ts'
import type { StreamKeys } from '../stream/keys.ts'
import { idOf } from '../tail/batch.ts'
import type { StreamFeed } from '../tail/stream-feed.ts'
import type { Subscriber, Subscription } from '../tail/subscription.ts'
import type { Grant } from './acquire-script.ts'
import { formatAttempts } from './attempts.ts'
import { Backlog, type Entry } from './backlog.ts'
import type { CheckpointAnswer, CheckpointRequest } from './checkpoint-script.ts'
import { moveToDeadLetters } from './dead-letter-script.ts'
import { type ConsumerHandler, HandOut, type HandOutOwner } from './hand-out.ts'
import type { ResolvedConsumerOptions } from './options.ts'
import type { Pulse, Pulsed } from './pulse.ts'
import { formatRanges, inRanges } from './ranges.ts'
import { recordStart } from './start-script.ts'

/**
 * Why a tenure ended:
 * - `lost`: somebody else holds the lease, or it could not be confirmed in time.
 * - `resync`: the lease is still ours, but the position on the server is not what we thought.
 * - `released`: given back on purpose, with everything stored that could be.
 * - `stopped`: the owner's policy, or a full dead-letter stream.
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

/** How many events may be done above the watermark before reading pauses. */
const MAX_AHEAD = 10_000
/** After another holder died, for one lease: how many events may pass until the position is stored. */
const CAUTIOUS_CHECKPOINT_EVERY = 64

/**
 * One period of holding the lease: what is read goes into the backlog and the hand-out, what is done
 * moves the watermark, and the pulse stores it. A tenure ends once; the consumer then begins another
 * one, or gives up.
 */
export class Tenure<Data> implements Subscriber<Data>, Pulsed, HandOutOwner<Data> {
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
  readonly #backlog: Backlog<Data>
  readonly #handOut: HandOut<Data>
  readonly #subscription: Subscription
  readonly #attempts: Map<string, number>
  readonly #end: (end: TenureEnd) => void
  #over = false
  #draining = false
  #releasing = false
  /** After an interruption nothing is handed out until the server confirmed what we have. */
  #verifying = false
  #interruptions = 0
  /** Who waits for the server to confirm a request that was made after they asked. */
  #waiting: { request: CheckpointRequest | undefined; readonly confirmed: () => void }[] = []
  #stored: string
  #named = ''
  #rangesStored: string
  #attemptsDirty = false
  #abortAtMs = 0
  #cancelAbort: (() => void) | undefined
  /** How many events are still to be handled one by one, each start recorded before. */
  #quarantine: number
  #leavingQuarantine = false
  /** Until when positions are stored more often, after another holder died. */
  readonly #cautiousUntilMs: number
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
    this.#attempts = new Map(grant.attempts)
    this.#quarantine = grant.quarantine
    this.#cautiousUntilMs = grant.unclean ? sentMs + options.leaseMs : 0
    this.#stored = grant.position
    this.#rangesStored = formatRanges(grant.ranges)
    this.#backlog = new Backlog(
      grant.position,
      grant.index,
      (id) => grant.dead.has(id) || inRanges(grant.ranges, id),
    )
    this.#handOut = new HandOut(
      {
        clock: scope.core.clock,
        stream: scope.streamName,
        options,
        handler: scope.handler,
        lease: Object.freeze({ token: grant.fence.token }),
        unclean: grant.unclean,
        running: scope.running,
      },
      this,
    )
    const { promise, resolve } = Promise.withResolvers<TenureEnd>()
    this.ended = promise
    this.#end = resolve
    this.#subscription = scope.feed.subscribe(this)
    this.#armAbort(sentMs)
  }

  /** The greatest id with everything at or before it done. */
  get watermark(): string {
    return this.#backlog.watermark
  }

  /** The position that the server has, as far as it confirmed. */
  get storedPosition(): string {
    return this.#stored
  }

  /** How many events are received and not done. */
  get inFlight(): number {
    return this.#backlog.size - this.#backlog.doneAbove
  }

  begin(): void {
    this.#scope.pulse.add(this)
    this.#scope.feed.adopt(this.#grant.incarnation)
    this.#handOut.begin()
    this.#subscription.resume(this.#backlog.watermark)
  }

  /** Something that held handing out back is gone. */
  wake(): void {
    this.#handOut.drive()
  }

  /** Takes in nothing more and starts nothing; settles when no handler runs. */
  drain(): Promise<void> {
    this.#draining = true
    this.#subscription.suspend()
    this.#handOut.dropQueued()
    return this.#handOut.idle()
  }

  abortHandlers(reason: MillraceError): void {
    this.#handOut.abort(reason)
  }

  /** Stores what is done and gives the lease back. */
  release(): Promise<TenureEnd> {
    this.#draining = true
    this.#releasing = true
    if (!this.#over) this.#scope.pulse.soon(this)
    return this.ended
  }

  /** Ends at once, without another word to Redis. */
  abandon(detail: string): void {
    this.#finish({ why: 'lost', detail })
  }

  // What the tail calls.

  receive(batch: readonly Decoded<Data>[]): void {
    if (this.#over) return
    const nowMs = this.#scope.core.clock.monotonicMs()
    for (const decoded of batch) {
      const attempts = this.#attempts.get(idOf(decoded)) ?? 0
      const entry = this.#backlog.receive(decoded, attempts, nowMs)
      if (entry === undefined) this.#release(decoded.bytes)
      else this.#handOut.add(entry)
    }
    this.#handOut.drive()
  }

  interrupted(reason: string): void {
    if (this.#over) return
    channels.loopFailed.publish({
      loop: 'consumer',
      stream: this.#scope.streamName,
      name: this.name,
      error: new Error(reason),
    })
    this.#handOut.dropQueued()
    this.#backlog.prepareReread()
    this.#withheld = { events: 0, bytes: 0 }
    this.#verifying = true
    const interruption = ++this.#interruptions
    void this.#confirmation().then(() => {
      if (this.#over || interruption !== this.#interruptions) return
      // The server has what we had, so our results count; what lies above the watermark is read again.
      this.#verifying = false
      if (this.#draining) return
      this.#subscription.resume(this.#backlog.watermark)
      this.#handOut.drive()
    })
  }

  // What the hand-out calls.

  mayStart(nowMs: number): boolean {
    return !(
      ((this.#quarantine > 0 || this.#leavingQuarantine) && this.#handOut.active > 0) ||
      (this.#isCautious() && this.#backlog.passedCount >= CAUTIOUS_CHECKPOINT_EVERY) ||
      nowMs >= this.#abortAtMs ||
      this.#over ||
      this.#verifying ||
      this.#draining ||
      this.#scope.isPaused()
    )
  }

  recordStart(entry: Entry<Data>): Promise<'dead-letter' | 'run' | 'wait'> | undefined {
    if (this.#quarantine === 0) {
      if (!this.#leavingQuarantine) return undefined
      // The last one's start must not be counted against it in the next tenure.
      this.#leavingQuarantine = false
      return this.#confirmation().then(() => 'run')
    }
    if (entry.attempts >= this.#scope.options.maxAttempts) return Promise.resolve('dead-letter')
    this.#quarantine--
    this.#leavingQuarantine = this.#quarantine === 0
    entry.attempts++
    entry.counted = true
    this.#attempts.set(entry.id, entry.attempts)
    const { core, keys } = this.#scope
    const request = {
      name: this.name,
      token: this.#grant.fence.token,
      attempts: formatAttempts(this.#attempts),
      left: this.#quarantine,
    }
    return core.connections
      .call('control', keys.tag, (session) => recordStart(session, keys, request))
      .then(
        (ours) => {
          if (!ours) this.#finish({ why: 'lost', detail: 'another holder took over' })
          return ours ? 'run' : 'wait'
        },
        (failure: unknown) => {
          this.#finish({ why: 'resync', detail: messageOf(failure) })
          return 'wait'
        },
      )
  }

  completed(entry: Entry<Data>): void {
    const { bytes } = entry
    if (this.#attempts.size > 0 && this.#attempts.delete(entry.id)) this.#attemptsDirty = true
    this.#backlog.settle(entry)
    this.#release(bytes)
    if (this.#backlog.passedCount >= this.#checkpointEvery()) this.#scope.pulse.soon(this)
  }

  attemptFailed(id: string, attempts: number): void {
    this.#attempts.set(id, attempts)
    this.#attemptsDirty = true
    this.#scope.pulse.soon(this)
  }

  async moveToDeadLetters(entry: Entry<Data>, reason: DeadLetterReason, error: string): Promise<void> {
    const { core, keys, options, streamName } = this.#scope
    const request = {
      name: this.name,
      token: this.#grant.fence.token,
      id: entry.id,
      reason,
      attempts: entry.attempts,
      error,
      cap: options.maxDeadLetters,
    }
    try {
      const outcome = await core.connections.call('data', keys.tag, (session) =>
        moveToDeadLetters(session, keys, request),
      )
      if (outcome === 'lost') this.#finish({ why: 'lost', detail: 'another holder took over' })
      if (outcome === 'full') {
        const text = `Consumer ${this.name} stopped: ${options.maxDeadLetters} dead letters lie there already`
        this.stop(new MillraceError('DEAD_LETTER_FULL', text, { name: this.name, stream: streamName }))
      }
    } catch (failure) {
      // The event stays where it is, and is tried again with the next tenure.
      this.#finish({ why: 'resync', detail: messageOf(failure) })
    }
  }

  stop(error: MillraceError): void {
    this.#finish({ why: 'stopped', error })
  }

  // What the pulse calls.

  request(): CheckpointRequest {
    const { watermark } = this.#backlog
    // While events are being read again the backlog does not know yet what is done above the watermark.
    const ranges = this.#verifying ? this.#rangesStored : formatRanges(this.#backlog.ranges())
    const request: CheckpointRequest = {
      name: this.name,
      token: this.#grant.fence.token,
      incarnation: this.#grant.incarnation,
      from: this.#stored,
      to: watermark === this.#stored ? '' : watermark,
      named: this.#named,
      index: this.#backlog.index,
      ranges: ranges === this.#rangesStored ? undefined : ranges,
      attempts: this.#attemptsDirty ? formatAttempts(this.#attempts) : undefined,
      release: this.#releasing,
    }
    this.#attemptsDirty = false
    for (const waiter of this.#waiting) waiter.request ??= request
    return request
  }

  answered(request: CheckpointRequest, answer: CheckpointAnswer, sentMs: number): void {
    if (this.#over) return
    switch (answer.outcome) {
      case 'ok':
        this.#confirmed(request, sentMs)
        if (answer.imageRecreated) this.#reportPosition('group-recreated', IMAGE_VANISHED)
        this.#proceed(request)
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

  #confirmed(request: CheckpointRequest, sentMs: number): void {
    this.#armAbort(sentMs)
    this.#named = ''
    if (request.ranges !== undefined) this.#rangesStored = request.ranges
    if (request.to === '') return
    this.#stored = request.to
    const before = this.#backlog.passedCount
    this.#backlog.stored(request.to)
    channels.checkpointed.publish({
      stream: this.#scope.streamName,
      name: this.name,
      position: request.to,
      events: before - this.#backlog.passedCount,
    })
  }

  /** What the confirmation was waited for. */
  #proceed(request: CheckpointRequest): void {
    const waited = this.#waiting.filter((waiter) => waiter.request === request)
    this.#waiting = this.#waiting.filter((waiter) => waiter.request !== request)
    for (const waiter of waited) waiter.confirmed()
    if (request.release) this.#finish({ why: 'released' })
    else if (this.#releasing || this.#waiting.length > 0) this.#scope.pulse.soon(this)
    else if (this.#isCautious()) this.#handOut.drive()
  }

  /** Resolves when the server has confirmed a request made from now on; never, if the tenure ends first. */
  #confirmation(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#waiting.push({ request: undefined, confirmed: resolve })
    this.#scope.pulse.soon(this)
    return promise
  }

  /** An entry lies where only processed ones should, or the position is not what we had. */
  #refused(request: CheckpointRequest, stored: string, found: string): void {
    const processed = stored === this.#stored && found !== '' && this.#backlog.hasProcessed(found)
    if (processed && this.#named !== found) {
      // A neighbour deleted the event at our watermark; the one before it is ours as well.
      this.#named = found
      this.#scope.pulse.soon(this)
      return
    }
    const wanted = request.to === '' ? this.#stored : request.to
    const detail = `the server refused to go from ${stored} to ${wanted}`
    this.#reportPosition('rewound', detail, stored)
    this.#finish({ why: 'resync', detail })
  }

  #reportPosition(change: 'group-recreated' | 'rewound', detail: string, to = this.#stored): void {
    channels.positionChanged.publish({
      stream: this.#scope.streamName,
      name: this.name,
      change,
      from: this.#backlog.watermark,
      to,
      detail,
    })
  }

  #checkpointEvery(): number {
    const { checkpointEvery } = this.#scope.options
    return this.#isCautious() ? Math.min(checkpointEvery, CAUTIOUS_CHECKPOINT_EVERY) : checkpointEvery
  }

  /** For one lease after another holder died the position follows closely, to find what killed it. */
  #isCautious(): boolean {
    return this.#cautiousUntilMs > 0 && this.#scope.core.clock.monotonicMs() < this.#cautiousUntilMs
  }

  /** Credit goes back to the subscription unless too many done events wait for one below them. */
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
    this.#cancelAbort?.()
    const { clock } = this.#scope.core
    this.#abortAtMs = abortAtMs(sentMs, this.leaseMs)
    const leftMs = Math.max(this.#abortAtMs - clock.monotonicMs(), 0)
    this.#cancelAbort = clock.after(leftMs, () => {
      this.#finish({ why: 'lost', detail: 'no beat was confirmed within the lease' })
    })
  }

  #finish(end: TenureEnd): void {
    if (this.#over) return
    this.#over = true
    this.#cancelAbort?.()
    this.#scope.pulse.remove(this)
    this.#subscription.close()
    if (end.why !== 'released') {
      this.#handOut.abort(
        new MillraceError('LEASE_LOST', `Consumer ${this.name} no longer holds its lease`, {
          name: this.name,
        }),
      )
    }
    this.#handOut.close()
    this.#end(end)
  }
}

const IMAGE_VANISHED = 'the Redis consumer group that shows this position had vanished'
