import { fromRedis } from '../connection/redis-errors.ts'
import type { Session } from '../connection/session.ts'
import type { Core } from '../core.ts'
import { channels } from '../diagnostics.ts'
import { MillraceError } from '../errors.ts'
import { onAbort, pause } from '../lifecycle/signals.ts'
import type { StreamKeys } from '../stream/keys.ts'
import type { PressureWatch } from '../pressure/watch.ts'
import {
  answerForSpooling,
  answerOf,
  answerOfError,
  answerUnderPressure,
  ELSEWHERE,
  forgotten,
  reasonOf,
} from './answer.ts'
import { boundsOf, callAppend, type RetentionBounds } from './call-append.ts'
import { closeEpoch } from './close-epoch-script.ts'
import { DurabilityConfirmations } from './durability/confirmations.ts'
import { answerOnceDurable, whenDurableOrNot } from './durability/once-durable.ts'
import type { OutgoingEvent } from './encode.ts'
import type { ResolvedProducerOptions } from './options.ts'
import { confirmBatch, rejectEvents } from './outcome.ts'
import { Outbox } from './outbox.ts'
import { type GiveUpAll, isEnd, type PublishableStream, randomName, type Sender } from './sender.ts'
import type { Lane } from './spool/lane.ts'
import {
  type Answer,
  add,
  answeredThrough,
  type Batch,
  mayAdd,
  openWindow,
  type Placement,
  type Rejected,
  reopen,
  resolvedThrough,
  resume,
  sent,
  settle,
  takeRefused,
  type Window,
} from './window.ts'

const RESOLVED: Promise<void> = Promise.resolve()
/** In `fail` mode: how long a connection may take to come (back) before events are given up. */
const FAIL_FAST_MS = 500
/** Pause from the third fruitless attempt on: doubled from the first, up to the greatest. */
const FIRST_PAUSE_MS = 5
const GREATEST_PAUSE_MS = 500

/**
 * Carries out what the window decides: gathers what arrives in one tick into batches, sends them, and
 * after any trouble waits for all outstanding answers before it goes on.
 */
export class SendLoop implements Sender {
  readonly #core: Core
  readonly #keys: StreamKeys
  readonly #stream: PublishableStream
  readonly #options: ResolvedProducerOptions
  readonly #bounds: RetentionBounds
  readonly #giveUpAll: GiveUpAll
  readonly #watch: PressureWatch
  readonly #producerId: string
  readonly #outbox = new Outbox()
  readonly #window: Window<OutgoingEvent>
  readonly #copies = new Set<Copy>()
  readonly #stopped = new AbortController()
  #session: Session | undefined
  #offSession: (() => void) | undefined
  #trouble: { readonly session: Session; readonly error: unknown } | undefined
  #recovering = false
  #flushDue = false
  /** Attempts at going on, in a row, without any outcome in between. */
  #fruitless = 0
  /** The way over the disk, where that was asked for. */
  #lane: Lane | undefined
  /** Waits until what was appended is durable, where that was asked for. */
  readonly #durability: DurabilityConfirmations | undefined
  /** The window has another epoch than the spool file. */
  #renumberingDue = false
  /** Why nothing new is sent. */
  readonly #held = new Set<HoldReason>()

  constructor(
    core: Core,
    keys: StreamKeys,
    stream: PublishableStream,
    options: ResolvedProducerOptions,
    giveUpAll: GiveUpAll,
    watch: PressureWatch,
    window: Window<OutgoingEvent> = openWindow(randomName()),
  ) {
    this.#window = window
    this.#core = core
    this.#keys = keys
    this.#stream = stream
    this.#options = options
    this.#bounds = boundsOf(stream.retention)
    this.#giveUpAll = giveUpAll
    this.#watch = watch
    this.#producerId = options.producerId ?? randomName()
    if (options.durability !== undefined)
      this.#durability = new DurabilityConfirmations(core, keys, options.durability)
  }

  get unsent(): number {
    return this.#outbox.size
  }

  start(): void {
    // Nothing is left over without a spool.
  }

  /** Takes batches from the spool before anything else; `begin` puts what is under way into it. */
  useSpool(lane: Lane): void {
    this.#lane = lane
  }

  offer(event: OutgoingEvent): void {
    this.#outbox.push(event)
    this.wake()
  }

  press(): void {
    // Nothing can be kept on disk without a spool.
  }

  /** Sends nothing new until every reason is gone. */
  hold(reason: HoldReason): void {
    this.#held.add(reason)
  }

  release(reason: HoldReason): void {
    this.#held.delete(reason)
    this.wake()
  }

  /** Since when the oldest event waits that is neither in the stream nor in the spool. */
  waitingSinceMs(): number | undefined {
    const batch = this.#window.unresolved.find(({ position }) => position === undefined)
    return (batch?.events.find(isLive) ?? this.#outbox.peek())?.call.startedMs
  }

  /** Redis has confirmed nothing for too long. */
  spool(): void {
    this.#lane?.begin(this.#window, this.#outbox)
  }

  prune(): void {
    this.#outbox.prune()
  }

  stop(): undefined {
    this.#stopped.abort()
    this.#durability?.close()
    this.#offSession?.()
    this.#outbox.prune()
    return undefined
  }

  /** Looks, at the end of this tick, at what can be sent. */
  wake(): void {
    if (this.#flushDue) return
    this.#flushDue = true
    // Behind the promise callbacks that wait already, so that whoever was resumed by one answer together
    // publishes in one batch. (A tick or queueMicrotask would come later by a tenth of all latency.)
    void RESOLVED.then(this.#flush)
  }

  readonly #flush = (): void => {
    this.#flushDue = false
    if (this.#stopped.signal.aborted) return
    this.#lane?.absorb(this.#outbox)
    if (this.#recovering || this.#held.size > 0) return
    if (this.#window.stalled || !this.#usable(this.#session)) void this.#recover()
    else this.#sendWhatFits()
  }

  #sendWhatFits(): void {
    while (mayAdd(this.#window)) {
      if (this.#lane !== undefined && this.#lane.backlog > 0) {
        const spooled = this.#lane.take()
        if (spooled === undefined) return
        const batch = add(this.#window, spooled.events, spooled.bytes)
        batch.position = spooled.position
        batch.answered = true
        this.#send(batch)
        continue
      }
      const next = this.#outbox.take(...this.#room(), this.#window.unresolved.length === 0)
      if (next.events.length === 0) return
      const batch = add(this.#window, next.events, next.bytes)
      for (const event of next.events) event.call.firstBatch ??= batch
      this.#send(batch)
    }
  }

  /** How many more events and bytes may be on their way. */
  #room(): [events: number, bytes: number] {
    let events = this.#options.maxInFlightEvents
    let bytes = this.#options.maxInFlightBytes
    for (const batch of this.#window.unresolved) {
      events -= batch.events.length
      bytes -= batch.bytes
    }
    return [events, bytes]
  }

  #send(batch: Batch<OutgoingEvent>): void {
    const session = this.#session
    if (session === undefined)
      throw new MillraceError('INTERNAL', 'a batch is sent without a connection')
    const withSource = this.#window.needsSource
    this.#window.needsSource = false
    const copy: Copy = { batch, session, done: false }
    this.#copies.add(copy)
    sent(this.#window, batch)
    const heading = {
      record: this.#record(),
      first: batch.first,
      answeredThrough: answeredThrough(this.#window),
      bounds: this.#bounds,
    }
    callAppend(session, this.#keys, heading, batch.events, withSource).then(
      (reply) => {
        this.#arrived(copy, answerOf(reply), heading.record)
      },
      (error: unknown) => {
        this.#answered(copy, answerOfError(error), error)
      },
    )
    this.#watch.sent(session, batch.events.length)
  }

  #arrived(copy: Copy, answer: Answer, record: string): void {
    const tell = (known: Answer): void => {
      this.#answered(copy, known, undefined)
    }
    if (this.#durability === undefined || answer.kind !== 'appended') tell(answer)
    else
      void answerOnceDurable(this.#durability, record, copy.batch, answer, this.#stream.name).then(
        tell,
      )
  }

  #answered(copy: Copy, given: Answer, error: unknown): void {
    if (copy.done) return
    copy.done = true
    this.#copies.delete(copy)
    const { batch } = copy
    if (given.kind === 'refused' && given.reason === 'out-of-memory') this.#watch.ranOutOfMemory()
    const answer =
      this.#lane === undefined
        ? answerUnderPressure(given, this.#watch)
        : answerForSpooling(given, batch)
    const wasStalled = this.#window.stalled
    settle(this.#window, batch, answer)
    if (answer.kind === 'appended') {
      this.#fruitless = 0
      this.#watch.appended()
      this.#confirm(batch, answer.placement)
    } else {
      if (!wasStalled) {
        channels.publishStalled.publish({ stream: this.#stream.name, reason: reasonOf(answer) })
      }
      if (error !== undefined) this.#trouble = { session: copy.session, error }
    }
    if (!this.#window.stalled) this.wake()
    else if (this.#window.outstanding === 0) void this.#recover()
  }

  #confirm(batch: Batch<OutgoingEvent>, placement: Placement): void {
    confirmBatch(this.#stream.name, batch, placement, () => this.#core.clock.monotonicMs())
    if (this.#lane === undefined) return
    this.#lane.flows()
    this.#lane.resolve(resolvedThrough(this.#window, this.#lane.taken))
  }

  /** The slow path: from a stall, or from no connection, back to an open window. One at a time. */
  async #recover(): Promise<void> {
    if (this.#recovering) return
    this.#recovering = true
    try {
      // What was sent may have been lost again before this goes on: then nobody else starts anew.
      while (this.#window.outstanding === 0 && this.#hasWork()) {
        if ((await this.#attempt()) && !this.#window.stalled) break
      }
    } finally {
      this.#recovering = false
    }
    // Answers that are still outstanding wake the loop by themselves.
    const { stalled, outstanding } = this.#window
    if (!stalled && (outstanding === 0 || this.#usable(this.#session)) && this.#hasWork())
      this.#flush()
  }

  /** True when the window is open and its batches are on their way again. */
  async #attempt(): Promise<boolean> {
    this.#reject(takeRefused(this.#window, isLive))
    if (!this.#hasWork()) return false
    await this.#pauseAfterFruitless()
    try {
      const session = await this.#connect()
      await this.#renumberSpool()
      this.#lane?.assertFresh()
      const step = resume(this.#window, isLive)
      if (step.kind === 'close-epoch') {
        await this.#closeEpoch(session)
        return false
      }
      this.#reject(step.rejected)
      this.#adopt(session)
      for (const batch of step.batches) this.#send(batch)
      return true
    } catch (error) {
      const known = fromRedis(error)
      if (known.code !== 'UNAVAILABLE' || this.#options.whenUnavailable === 'fail')
        this.#giveUpAll(known)
      // What is in the spool stays there; nobody can send it any more here.
      if (this.#lane !== undefined && isEnd(known)) this.stop()
      return false
    }
  }

  async #pauseAfterFruitless(): Promise<void> {
    const stalls = this.#fruitless++
    if (stalls < 2) return
    const ms = Math.min(FIRST_PAUSE_MS * 2 ** (stalls - 2), GREATEST_PAUSE_MS)
    await pause(this.#core.clock, ms, this.#stopped.signal)
  }

  async #connect(): Promise<Session> {
    const { signal } = this.#stopped
    const trouble = this.#trouble
    this.#trouble = undefined
    if (trouble !== undefined)
      await this.#core.connections.noteTrouble(trouble.session, trouble.error)
    const deadlineMs = this.#options.whenUnavailable === 'fail' ? FAIL_FAST_MS : undefined
    const session = await this.#core.connections.session('data', this.#keys.tag, {
      signal,
      deadlineMs,
    })
    await this.#durability?.ready(deadlineMs)
    await this.#core.verify(this.#stream, signal)
    return session
  }

  #adopt(session: Session): void {
    if (this.#session === session) return
    this.#offSession?.()
    this.#session = session
    this.#offSession = onAbort(session.signal, () => {
      // The client rejects what is outstanding as well; nothing may hang on whether it forgets one.
      for (const copy of this.#copies) {
        if (copy.session === session) {
          this.#answered(copy, { kind: 'lost', reason: 'the connection ended' }, undefined)
        }
      }
    })
  }

  async #closeEpoch(session: Session): Promise<void> {
    const record = this.#record()
    const closed = await closeEpoch(session, this.#keys, record).catch((error: unknown) => {
      this.#trouble = { session, error }
      throw error
    })
    const { appended, rejected } = reopen(this.#window, closed.last, randomName(), isLive)
    for (const batch of appended) {
      const placement = closed.placements.get(batch.first)
      if (placement !== undefined) this.#confirmForGood(batch, placement, record)
      else if (batch.answered) this.#confirm(batch, ELSEWHERE)
      else this.#reject([{ events: batch.events, error: forgotten() }])
    }
    this.#reject(rejected)
    this.#lane?.resolve(resolvedThrough(this.#window, this.#lane.taken))
    this.#renumberingDue = true
    await this.#renumberSpool()
  }

  /** Of a batch that is not sent again. */
  #confirmForGood(batch: Batch<OutgoingEvent>, placement: Placement, record: string): void {
    const confirm = (): void => {
      this.#confirm(batch, placement)
    }
    if (this.#durability === undefined) confirm()
    else void whenDurableOrNot(this.#durability, record, batch, this.#stream.name).then(confirm)
  }

  /** Nothing is sent under an epoch that the spool file does not know: after a crash it would be again. */
  async #renumberSpool(): Promise<void> {
    if (this.#lane === undefined || !this.#renumberingDue) return
    await this.#lane.renumber(this.#window)
    this.#renumberingDue = false
  }

  #reject(rejected: readonly Rejected<OutgoingEvent>[]): void {
    // A refusal is an outcome as well: what comes next need not wait for it.
    if (rejected.length > 0) this.#fruitless = 0
    for (const refused of rejected) rejectEvents(this.#stream.name, refused)
  }

  #usable(session: Session | undefined): boolean {
    return session !== undefined && this.#core.connections.serves(session, this.#keys.tag)
  }

  #hasWork(): boolean {
    if (this.#stopped.signal.aborted) return false
    return (
      this.#window.unresolved.some(
        (batch) => batch.position !== undefined || batch.events.some(isLive),
      ) ||
      (this.#lane?.backlog ?? 0) > 0 ||
      this.#outbox.prune()
    )
  }

  get epoch(): string {
    return this.#window.epoch
  }

  /** Whether anything waits to be confirmed. */
  get isBusy(): boolean {
    return this.#hasWork()
  }

  #record(): string {
    return `${this.#producerId}:${this.#window.epoch}`
  }
}

/** `adoption`: earlier processes come first. `pressure`: what is on disk stays there. */
type HoldReason = 'adoption' | 'pressure'

/** One sending of a batch on one connection. */
interface Copy {
  readonly batch: Batch<OutgoingEvent>
  readonly session: Session
  done: boolean
}

function isLive(event: OutgoingEvent): boolean {
  return !event.call.settled
}
