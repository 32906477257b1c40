import { ConsumerRedrives } from '../dead-letters/consumer-redrives.ts'
import type { DeadLetterReason } from '../delivery/dead-letter-fields.ts'
import { messageOf, MillraceError } from '../errors.ts'
import { LeaseTrust } from '../lease/trust.ts'
import { gapError, type ReportedGap, reportGap } from '../retention/gap.ts'
import type { Decode } from '../stream/decode.ts'
import type { Decoded } from '../stream/event.ts'
import { idOf } from '../tail/batch.ts'
import type { Subscriber, Subscription } from '../tail/subscription.ts'
import type { Grant } from './acquire-script.ts'
import { AttemptBook } from './attempts.ts'
import { Backlog, type Entry } from './backlog.ts'
import type { CheckpointAnswer, CheckpointRequest } from './checkpoint-script.ts'
import { Confirmations } from './confirmations.ts'
import { HandOut, type HandOutOwner } from './hand-out.ts'
import { moveEntry } from './move-entry.ts'
import type { Pulsed } from './pulse.ts'
import { Quarantine, type StartVerdict } from './quarantine.ts'
import { formatRanges, inRanges } from './ranges.ts'
import { recordStartOf } from './record-start.ts'
import { reportCheckpoint, reportInterruption, reportNewImage, reportPosition } from './reports.ts'
import type { TenureEnd, TenureScope } from './tenure-scope.ts'
import { WithheldCredit } from './withheld-credit.ts'

/** How long storing what is done and giving the lease back may take when the owner's policy says stop. */
const STOP_DEADLINE_MS = 2_000

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
  readonly subscription: Subscription
  readonly #attempts: AttemptBook
  readonly #end: (end: TenureEnd) => void
  #over = false
  #draining = false
  #releasing = false
  /** Why the consumer stops, once it does. */
  #stopped: MillraceError | undefined
  #cancelStop: (() => void) | undefined
  /** After an interruption nothing is handed out until the server confirmed what we have. */
  #verifying = false
  #interruptions = 0
  readonly #confirmations = new Confirmations()
  #stored: string
  /** What may be the greatest instead of what is stored, because a neighbour deletes events. */
  #named: readonly string[] = []
  #rangesStored: string
  /** The gap that was told of last, until the server has heard of it. */
  #toldGap = ''
  readonly #trust: LeaseTrust
  readonly #quarantine: Quarantine
  readonly #redrives: ConsumerRedrives<Data>
  readonly #credit: WithheldCredit

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
    this.#attempts = new AttemptBook(grant.attempts)
    this.#quarantine = new Quarantine(
      scope.core.clock,
      {
        quarantine: grant.quarantine,
        cautiousUntilMs: grant.unclean ? sentMs + options.leaseMs : 0,
      },
      options.maxAttempts,
      {
        recordStart: (entry, left) => this.#recordStart(entry.id, entry.attempts, left),
        confirmation: () => this.#confirmation(),
      },
    )
    this.#stored = grant.position
    this.#rangesStored = formatRanges(grant.ranges)
    this.#backlog = new Backlog(
      grant.position,
      grant.index,
      (id) => grant.dead.has(id) || inRanges(grant.ranges, id),
    )
    this.#redrives = new ConsumerRedrives(scope, grant, {
      add: (entries) => {
        for (const entry of entries) this.#handOut.add(entry)
        this.#handOut.drive()
      },
      end: (end) => {
        this.#endAs(end)
      },
    })
    this.#handOut = new HandOut(
      {
        clock: scope.core.clock,
        stream: scope.streamName,
        downloads: scope.core.downloads,
        options,
        handler: scope.handler,
        lease: Object.freeze({ token: grant.fence.token }),
        unclean: grant.unclean,
        running: scope.running,
      },
      this,
      this.#redrives,
    )
    const { promise, resolve } = Promise.withResolvers<TenureEnd>()
    this.ended = promise
    this.#end = resolve
    this.subscription = scope.feed.subscribe(this)
    this.#credit = new WithheldCredit(this.subscription)
    this.#trust = new LeaseTrust(scope.core.clock, options.leaseMs, () => {
      this.#finish({ why: 'lost', detail: 'no beat was confirmed within the lease' })
    })
    this.#trust.confirmed(sentMs)
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
    return this.#backlog.size - this.#backlog.doneAbove + this.#redrives.size
  }

  get isIdle(): boolean {
    return this.inFlight === 0 && this.watermark === this.#stored && !this.#verifying
  }

  begin(): void {
    this.#scope.notePause(this.#grant.pause)
    this.#scope.pulse.add(this)
    this.#scope.feed.adopt(this.#grant.incarnation)
    if (this.#grant.gap !== undefined && !this.#passGap(this.#grant.gap)) return
    this.subscription.resume(this.#backlog.watermark)
  }

  /** Something that held handing out back is gone. */
  wake(): void {
    this.#handOut.drive()
  }

  /** Takes in nothing more and starts nothing; settles when no handler runs. */
  drain(): Promise<void> {
    this.#draining = true
    this.subscription.suspend()
    this.#handOut.dropQueued()
    return this.#handOut.idle().then(() => this.#redrives.drained())
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
      const entry = this.#backlog.receive(decoded, this.#attempts.of(idOf(decoded)), nowMs)
      if (entry === undefined) this.#credit.release(decoded.bytes, this.#backlog.doneAbove)
      else this.#handOut.add(entry)
    }
    this.#handOut.drive(nowMs)
  }

  interrupted(reason: string): void {
    if (this.#over) return
    reportInterruption(this.#scope, reason)
    this.#handOut.dropQueued()
    this.#redrives.forgetQueued()
    this.#backlog.prepareReread()
    this.#credit.forget()
    this.#verifying = true
    const interruption = ++this.#interruptions
    void this.#confirmation().then(() => {
      if (this.#over || interruption !== this.#interruptions) return
      // The server has what we had, so our results count; what lies above the watermark is read again.
      this.#verifying = false
      if (this.#draining) return
      this.#scope.feed.adopt(this.#grant.incarnation)
      this.subscription.resume(this.#backlog.watermark)
      this.#handOut.drive()
    })
  }

  gap(goOn: () => void): void {
    // The server knows how much went, and that is told before anything behind it is started.
    void this.#confirmation().then(() => {
      this.#backlog.forgetIndex()
      if (!this.#over && this.#stopped === undefined) goOn()
    })
  }

  // What the hand-out calls.

  mayStart(nowMs: number): boolean {
    return !(
      !this.#quarantine.admits(this.#handOut.active, this.#backlog.passedCount) ||
      !this.#trust.holdsAt(nowMs) ||
      this.#over ||
      this.#verifying ||
      this.#draining ||
      this.#scope.isPaused()
    )
  }

  doubtSettled(nowMs: number): Promise<void> | undefined {
    if (this.#trust.holdsAt(nowMs) && !this.#verifying) return undefined
    return this.#confirmation()
  }

  recordStart(entry: Entry<Data>): Promise<StartVerdict> | undefined {
    return this.#quarantine.recordStart(entry)
  }

  completed(entry: Entry<Data>): void {
    const { bytes } = entry
    this.#attempts.forget(entry.id)
    this.#backlog.settle(entry)
    this.#credit.release(bytes, this.#backlog.doneAbove)
    const every = this.#quarantine.checkpointEvery(this.#scope.options.checkpointEvery)
    if (this.#backlog.passedCount >= every) this.#scope.pulse.soon(this)
  }

  attemptFailed(entry: Entry<Data>): void {
    this.#attempts.note(entry.id, entry.attempts)
    this.#scope.pulse.soon(this)
  }

  async moveToDeadLetters(
    entry: Entry<Data>,
    reason: DeadLetterReason,
    error: string,
  ): Promise<boolean> {
    const { token } = this.#grant.fence
    const end = await moveEntry(this.#scope, token, entry, reason, error)
    if (end !== undefined) this.#endAs(end)
    return end === undefined
  }

  stop(error: MillraceError): void {
    if (this.#over || this.#stopped !== undefined) return
    this.#stopped = error
    this.subscription.suspend()
    this.#handOut.dropQueued()
    this.#handOut.abort(
      new MillraceError('CLOSED', `Consumer ${this.name} stops`, { name: this.name, cause: error }),
    )
    this.#cancelStop = this.#scope.core.clock.after(STOP_DEADLINE_MS, () => {
      this.#finish({ why: 'stopped', error })
    })
    void this.release()
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
      attempts: this.#attempts.takeChanges(),
      release: this.#releasing,
      toldGap: this.#toldGap,
    }
    this.#confirmations.made(request)
    return request
  }

  answered(request: CheckpointRequest, answer: CheckpointAnswer, sentMs: number): void {
    if (this.#over) return
    switch (answer.outcome) {
      case 'ok':
        this.#confirmed(request, sentMs)
        this.#scope.notePause(answer.pause)
        if (answer.gap !== undefined) this.#passGap(answer.gap)
        if (answer.imageRecreated) reportNewImage(this.#scope, this.watermark, this.#stored)
        this.#proceed(request)
        if (!this.#over && !this.#draining) this.#redrives.notice(answer.redriving)
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
    this.#trust.confirmed(sentMs)
    this.#scope.feed.verified(request.to === '' ? this.#stored : request.to)
    this.#named = []
    if (request.ranges !== undefined) this.#rangesStored = request.ranges
    if (request.to === '') return
    this.#stored = request.to
    const before = this.#backlog.passedCount
    this.#backlog.stored(request.to)
    const durationMs = this.#scope.core.clock.monotonicMs() - sentMs
    reportCheckpoint(this.#scope, request.to, before - this.#backlog.passedCount, durationMs)
  }

  /** Tells of a gap, once; answers whether to go on behind it. */
  #passGap(gap: ReportedGap): boolean {
    if (gap.text === this.#toldGap || this.#stopped !== undefined)
      return this.#stopped === undefined
    const { options, streamName: stream } = this.#scope
    reportGap(gap, { stream, name: this.name })
    this.#backlog.forgetIndex()
    if (options.onGap === 'stop') {
      this.stop(gapError(gap, { stream, name: this.name }))
      return false
    }
    this.#toldGap = gap.text
    return true
  }

  /** What the confirmation was waited for. */
  #proceed(request: CheckpointRequest): void {
    this.#confirmations.confirmed(request)
    if (request.release) this.#finish({ why: 'released' })
    else if (this.#releasing || this.#confirmations.pending) this.#scope.pulse.soon(this)
    // What came while the lease was in doubt, or waited for a position to be stored, may start now.
    else this.#handOut.drive()
  }

  /** Resolves when the server has confirmed a request made from now on; never, if the tenure ends first. */
  #confirmation(): Promise<void> {
    const confirmed = this.#confirmations.next()
    this.#scope.pulse.soon(this)
    return confirmed
  }

  /** An entry lies where only processed ones should, or the position is not what we had. */
  #refused(request: CheckpointRequest, stored: string, found: readonly string[]): void {
    // The request was refused as a whole, its attempts too.
    if (request.attempts !== undefined) this.#attempts.tellAgain()
    const processed = found.length > 0 && found.every((id) => this.#backlog.hasProcessed(id))
    if (stored === this.#stored && processed) {
      // A neighbour deleted the events that we name; the ones before them are ours as well.
      this.#named = [...request.named, ...found]
      this.#confirmations.refused(request)
      this.#scope.pulse.soon(this)
      return
    }
    const wanted = request.to === '' ? this.#stored : request.to
    const detail = `the server refused to go from ${stored} to ${wanted}`
    reportPosition(this.#scope, 'rewound', this.watermark, stored, detail)
    this.#finish({ why: 'resync', detail })
  }

  async #recordStart(id: string, attempts: number, left: number): Promise<'run' | 'wait'> {
    this.#attempts.note(id, attempts)
    const { token } = this.#grant.fence
    const end = await recordStartOf(this.#scope, { token, attempts: this.#attempts.text, left })
    if (end !== undefined) this.#finish(end)
    return end === undefined ? 'run' : 'wait'
  }

  /** A stop stores what is done first; the other ends are ends at once. */
  #endAs(end: TenureEnd): void {
    if (end.why === 'stopped') this.stop(end.error)
    else this.#finish(end)
  }

  #finish(end: TenureEnd): void {
    if (this.#over) return
    this.#over = true
    this.#cancelStop?.()
    this.#trust.end()
    this.#redrives.close()
    this.#scope.pulse.remove(this)
    this.subscription.close()
    if (end.why !== 'released') {
      this.#handOut.abort(
        new MillraceError('LEASE_LOST', `Consumer ${this.name} no longer holds its lease`, {
          name: this.name,
        }),
      )
    }
    this.#handOut.close()
    this.#end(this.#stopped === undefined ? end : { why: 'stopped', error: this.#stopped })
  }
}
