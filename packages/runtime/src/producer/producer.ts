import { storePayloads } from '../blob/claimed-event.ts'
import type { Core } from '../core.ts'
import { channels } from '../diagnostics.ts'
import { isMillraceError, messageOf, MillraceError } from '../errors.ts'
import { withHeaders } from '../instrumentation/instrumentation.ts'
import { abortSignal, optionProblems, throwProblems, wholeNumber } from '../lifecycle/options.ts'
import { abortedError, onAbort, throwIfAborted, withDeadline } from '../lifecycle/signals.ts'
import type { Pressure } from '../pressure/pressure.ts'
import { Valve } from '../pressure/valve.ts'
import { PressureWatch } from '../pressure/watch.ts'
import type { EventStream } from '../stream/define-stream.ts'
import { validate } from '../stream/validation.ts'
import { checkAll } from './check-all.ts'
import { encode, type Extras, type OutgoingEvent } from './encode.ts'
import { Intake } from './intake.ts'
import {
  checkPublishManyOptions,
  checkPublishOptions,
  type ProducerOptions,
  type PublishManyOptions,
  type PublishOptions,
  type PublishResult,
  type ResolvedProducerOptions,
  resolveProducerOptions,
  type StoredInStream,
} from './options.ts'
import { type Answerer, answerAll, PublishCall } from './publish-call.ts'
import { SendLoop } from './send.ts'
import type { Sender } from './sender.ts'
import { SpoolingSender } from './spool/spooling-sender.ts'

export interface DrainOptions {
  /** How long to wait, in milliseconds. @defaultValue without end */
  readonly deadlineMs?: number
  readonly signal?: AbortSignal
}

export interface CloseOptions {
  /**
   * How long events under way may take before they are given up, in milliseconds.
   * @defaultValue 10_000
   */
  readonly deadlineMs?: number
}

const CLOSE_DEADLINE_MS = 10_000

/**
 * Publishes events to one event stream: in the order of the calls, each once, also over lost answers,
 * lost connections and failovers.
 *
 * States: open → draining (nothing new is taken, what was taken is finished) → closed.
 */
export class Producer<Input, Result extends PublishResult = StoredInStream> {
  readonly #core: Core
  readonly #stream: EventStream<Input, unknown>
  readonly #options: ResolvedProducerOptions
  readonly #loop: Sender
  readonly #watch: PressureWatch
  readonly #valve: Valve
  readonly #intake: Intake
  readonly #calls = new Set<PublishCall>()
  readonly #closed = Promise.withResolvers<void>()
  #state: 'closed' | 'draining' | 'open' = 'open'
  #closing: Promise<void> | undefined
  /** Why nothing can be published any more. */
  #failure: MillraceError | undefined
  readonly #drained = Promise.withResolvers<void>()
  #dueTimer: { readonly atMs: number; readonly cancel: () => void } | undefined

  /** @throws MillraceError `OPTIONS_INVALID` */
  constructor(core: Core, stream: EventStream<Input, unknown>, options: ProducerOptions = {}) {
    this.#core = core
    this.#stream = stream
    this.#options = resolveProducerOptions(options, core.options.deadlineMs)
    this.#watch = new PressureWatch(core, stream, this.#options.pressure, (pressure) => {
      this.#valve.turn(pressure)
    })
    this.#loop = this.#newSender()
    this.#valve = new Valve(core, stream.name, this.#options, this.#watch, this.#loop)
    this.#intake = new Intake((events) => {
      this.#valve.offerAll(events)
    })
  }

  /** The pressure that the stream is under, as it was last heard. */
  get pressure(): Pressure {
    return this.#watch.pressure
  }

  /** Resolves when the producer is closed. */
  get closed(): Promise<void> {
    return this.#closed.promise
  }

  /**
   * Begins to send what earlier processes have left in the spool, without waiting for the first event;
   * does nothing without a spool. `millrace.producer` calls it.
   */
  start(): this {
    if (this.#state === 'open' && this.#failure === undefined) this.#loop.start()
    return this
  }

  /**
   * Publishes one event; resolves once it is in the stream, or in the spool of a producer that has one.
   * @throws MillraceError `PAYLOAD_INVALID`, `PAYLOAD_TOO_LARGE`, `OPTIONS_INVALID`, `UNAVAILABLE`,
   * `PUBLISH_UNKNOWN`, `OUT_OF_MEMORY`, `PRESSURE`, `ABORTED`, `CLOSED`; with a spool `SPOOL_FULL`,
   * `SPOOL_CORRUPT`, `SPOOL_EXPIRED`, `SPOOL_FAILED`
   */
  publish(data: Input, options?: PublishOptions): Promise<Result> {
    const { instrumentation } = this.#core.options
    if (instrumentation === undefined) return this.#publish(data, options)
    return instrumentation.publish(
      { stream: this.#stream.name, events: 1, headers: options?.headers },
      (headers) => this.#publish(data, withHeaders(options, headers)),
    )
  }

  #publish(data: Input, options: PublishOptions | undefined): Promise<Result> {
    // What the executor throws becomes the rejection; an async function would cost another promise.
    const published = new Promise<PublishResult>((resolve, reject) => {
      if (options !== undefined) checkPublishOptions(options)
      this.#assertOpen(options?.signal)
      this.#valve.assertWelcome(1)
      const { schema } = this.#stream
      const verdict = schema === undefined ? undefined : validate(schema, data, this.#stream.name)
      const call = this.#newCall(1, options?.deadlineMs, resolve, reject)
      const event = this.#encode(data, options, call, verdict)
      const storing = this.#storePayloads(call, [event], verdict)
      this.#open(call, options?.signal)
      if (storing !== undefined || verdict instanceof Promise || this.#intake.busy) {
        this.#intake.enter(call, [event], storing ?? Promise.resolve(verdict))
      } else this.#valve.offer(event)
    })
    // Only a producer with a spool ever answers from there, and such a one has the wider type.
    return published as Promise<Result>
  }

  /**
   * Publishes events in order, with one result for each in the same order. All are checked before any
   * is sent: if one is bad, none goes, and the error lists which. When Redis fails on the way, what is
   * in the stream is the beginning of the array.
   * @throws MillraceError like {@link publish}
   */
  publishMany(data: readonly Input[], options?: PublishManyOptions): Promise<Result[]> {
    const { instrumentation } = this.#core.options
    // An empty array publishes nothing, and what is no array is refused.
    if (instrumentation === undefined || !Array.isArray(data) || data.length === 0)
      return this.#publishMany(data, options)
    return instrumentation.publish(
      { stream: this.#stream.name, events: data.length, headers: options?.headers },
      (headers) => this.#publishMany(data, withHeaders(options, headers)),
    )
  }

  #publishMany(data: readonly Input[], options: PublishManyOptions | undefined): Promise<Result[]> {
    const published = new Promise<PublishResult[]>((resolve, reject) => {
      if (!Array.isArray(data))
        throw new MillraceError('OPTIONS_INVALID', 'publishMany takes an array')
      if (options !== undefined) checkPublishManyOptions(options, data.length)
      this.#assertOpen(options?.signal)
      if (data.length === 0) {
        resolve([])
        return
      }
      this.#valve.assertWelcome(data.length)
      const call = this.#newCall(
        data.length,
        options?.deadlineMs,
        answerAll(data.length, resolve),
        reject,
      )
      const { events, verdict } = checkAll(
        this.#stream,
        data,
        extrasOf(options),
        options?.idempotencyKeys,
        call,
      )
      const storing = this.#storePayloads(call, events, verdict)
      this.#open(call, options?.signal)
      if (storing !== undefined || verdict !== undefined || this.#intake.busy) {
        this.#intake.enter(call, events, storing ?? Promise.resolve(verdict))
      } else this.#valve.offerAll(events)
    })
    return published as Promise<Result[]>
  }

  /** Takes nothing new, and resolves once everything that was taken has been settled. */
  async drain(options: DrainOptions = {}): Promise<void> {
    throwProblems(
      'drain',
      optionProblems(options, { deadlineMs: wholeNumber(0, MOST_WAIT_MS), signal: abortSignal }),
    )
    if (this.#state === 'open') this.#state = 'draining'
    if (this.#calls.size === 0) this.#drained.resolve()
    const { promise } = this.#drained
    await withDeadline(
      this.#core.clock,
      promise,
      options.deadlineMs ?? MOST_WAIT_MS,
      () =>
        new MillraceError(
          'UNAVAILABLE',
          `${this.#calls.size} calls of publish are still under way`,
        ),
      options.signal,
      'Draining the producer',
    )
  }

  /**
   * Drains, gives up what is left at the deadline, and lets go of everything. What is in the spool is sent
   * within the deadline as long as Redis answers; the rest stays on disk for the next process.
   */
  close(options: CloseOptions = {}): Promise<void> {
    this.#closing ??= this.#close(options)
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(options: CloseOptions): Promise<void> {
    const deadlineMs = options.deadlineMs ?? CLOSE_DEADLINE_MS
    const endMs = this.#core.clock.monotonicMs() + deadlineMs
    try {
      await this.drain({ deadlineMs })
    } catch (error) {
      if (!isMillraceError(error, 'UNAVAILABLE')) {
        this.#closing = undefined
        throw error
      }
      this.#giveUp([...this.#calls], () =>
        closedError('The producer was closed before the event was sent'),
      )
    }
    this.#state = 'closed'
    this.#dueTimer?.cancel()
    this.#valve.stop()
    try {
      const stopping = this.#loop.stop(Math.max(endMs - this.#core.clock.monotonicMs(), 0))
      if (stopping !== undefined) await stopping
    } finally {
      this.#closed.resolve()
    }
  }

  #newSender(): Sender {
    const core = this.#core
    const stream = this.#stream
    const options = this.#options
    const keys = core.keysOf(stream)
    const giveUpAll = (error: MillraceError): void => {
      this.#giveUp([...this.#calls], () => error)
    }
    const { spool, producerId } = options
    if (spool === undefined || producerId === undefined)
      return new SendLoop(core, keys, stream, options, giveUpAll, this.#watch)
    const fail = (error: MillraceError): void => {
      this.#failure = error
      giveUpAll(error)
    }
    const watch = this.#watch
    const settings = { core, keys, stream, options, spool, producerId, watch, giveUpAll, fail }
    return new SpoolingSender(settings)
  }

  #assertOpen(signal: AbortSignal | undefined): void {
    if (this.#state !== 'open') throw closedError(`The producer is ${this.#state}`)
    if (this.#failure !== undefined) throw this.#failure
    throwIfAborted(signal, 'The publish')
  }

  #newCall(
    size: number,
    deadlineMs: number | undefined,
    answer: Answerer,
    reject: (error: Error) => void,
  ): PublishCall {
    const nowMs = this.#core.clock.monotonicMs()
    const dueMs = nowMs + (deadlineMs ?? this.#options.deadlineMs)
    return new PublishCall(size, nowMs, dueMs, answer, reject, this.#settled)
  }

  #encode(
    data: Input,
    options: PublishOptions | undefined,
    call: PublishCall,
    verdict: unknown,
  ): OutgoingEvent {
    try {
      return encode(this.#stream, data, extrasOf(options), call, 0, options?.idempotencyKey)
    } catch (error) {
      // Nobody waits any more for what the schema will say; it must not be an unhandled rejection.
      if (verdict instanceof Promise) verdict.catch(() => undefined)
      throw error
    }
  }

  /** What is too large for the stream goes to the blob store first; undefined when nothing is. */
  #storePayloads(
    call: PublishCall,
    events: readonly OutgoingEvent[],
    verdict: unknown,
  ): Promise<void> | undefined {
    if (this.#stream.claimCheck === undefined) return undefined
    const spoolAgeMs = this.#options.spool?.maxAgeMs ?? 0
    try {
      return storePayloads(this.#core, this.#stream, call, events, spoolAgeMs, verdict)
    } catch (error) {
      if (verdict instanceof Promise) verdict.catch(() => undefined)
      throw error
    }
  }

  /** From here on the call counts as under way. */
  #open(call: PublishCall, signal: AbortSignal | undefined): void {
    this.#calls.add(call)
    if (signal !== undefined) {
      call.offSignal = onAbort(signal, () => {
        this.#giveUp([call], () => abortedError(signal, 'The publish'))
      })
    }
    const { startedMs, dueMs } = call
    if (this.#dueTimer === undefined || dueMs < this.#dueTimer.atMs)
      this.#armDueTimer(dueMs, startedMs)
  }

  readonly #settled = (call: PublishCall): void => {
    this.#calls.delete(call)
    if (this.#calls.size === 0 && this.#state !== 'open') this.#drained.resolve()
  }

  /**
   * One timer for all calls, for the earliest deadline. It stays when its call is settled, for the
   * next one to find: a timer for each call would be a good part of what a call costs.
   */
  #armDueTimer(atMs: number, nowMs: number): void {
    this.#dueTimer?.cancel()
    const cancel = this.#core.clock.after(Math.max(atMs - nowMs, 1), () => {
      this.#dueTimer = undefined
      this.#giveUpWhatIsDue()
    })
    this.#dueTimer = { atMs, cancel }
  }

  #giveUpWhatIsDue(): void {
    const nowMs = this.#core.clock.monotonicMs()
    const due: PublishCall[] = []
    let nextMs = Number.POSITIVE_INFINITY
    for (const call of this.#calls) {
      if (call.dueMs <= nowMs) due.push(call)
      else nextMs = Math.min(nextMs, call.dueMs)
    }
    if (nextMs < Number.POSITIVE_INFINITY) this.#armDueTimer(nextMs, nowMs)
    const late = due.length === 0 ? undefined : this.#valve.lateError()
    this.#giveUp(due, (call) => {
      if (late !== undefined && !this.#mayBeStored(call)) return late
      const waitedMs = Math.round(call.dueMs - call.startedMs)
      return new MillraceError('UNAVAILABLE', `The event could not be sent within ${waitedMs} ms`, {
        stream: this.#stream.name,
      })
    })
  }

  /** What has a sequence may go into the spool as it is, whoever has given up some of it. */
  #mayBeStored(call: PublishCall): boolean {
    const mayBeSpooled = this.#options.spool !== undefined && call.firstBatch !== undefined
    return mayBeSpooled || call.mayBeStored()
  }

  #giveUp(calls: readonly PublishCall[], errorOf: (call: PublishCall) => MillraceError): void {
    let events = 0
    let last: MillraceError | undefined
    for (const call of calls) {
      if (call.settled) continue
      const error = errorOf(call)
      last = this.#mayBeStored(call) ? unknownOutcome(call, error) : error
      events += call.size - call.stored
      call.fail(last)
    }
    if (last === undefined) return
    channels.publishFailed.publish({ stream: this.#stream.name, events, error: last })
    this.#valve.prune()
    this.#loop.prune()
    this.#intake.advance()
  }
}

/** The longest that a timer can wait. */
const MOST_WAIT_MS = 2_147_483_647

function extrasOf(options: PublishOptions | PublishManyOptions | undefined): Extras | undefined {
  if (options === undefined) return undefined
  const { type, timeMs, headers } = options
  return type === undefined && timeMs === undefined && headers === undefined ? undefined : options
}

function closedError(message: string): MillraceError {
  return new MillraceError('CLOSED', message)
}

function unknownOutcome(call: PublishCall, error: MillraceError): MillraceError {
  const what =
    call.size === 1
      ? 'The event was given up while its outcome was not known'
      : `${call.stored} of ${call.size} events are in the stream, of others it is not known`
  return new MillraceError('PUBLISH_UNKNOWN', `${what}: ${messageOf(error)}`, { cause: error })
}
