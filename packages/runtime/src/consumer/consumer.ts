import { AdministrativePause } from '../admin/administrative-pause.ts'
import { fromRedis } from '../connection/redis-errors.ts'
import type { Core } from '../core.ts'
import { channels, type LeaseChanged } from '../diagnostics.ts'
import { isMillraceError, messageOf, MillraceError } from '../errors.ts'
import { judgeNow, type ReadHealth } from '../health/read-health.ts'
import { inBackground, instrumentHandler } from '../instrumentation/instrumentation.ts'
import { formatHost, isProvablyGone } from '../lease/host.ts'
import { lookEveryMs, type Observation, observe } from '../lease/observation.ts'
import { newNonce } from '../lease/token.ts'
import { onAbort, pause } from '../lifecycle/signals.ts'
import { decoderOf } from '../stream/decode.ts'
import type { EventStream } from '../stream/define-stream.ts'
import type { StreamKeys } from '../stream/keys.ts'
import { startArgument } from '../stream/start-position.ts'
import type { Tails } from '../tail/tails.ts'
import type { AcquireRequest, Grant } from './acquire-script.ts'
import { askForLease, type LeaseAnswer } from './ask-for-lease.ts'
import type { ConsumerHandler, RunningHandler } from './hand-out.ts'
import type { ResolvedConsumerOptions } from './options.ts'
import type { Pulse } from './pulse.ts'
import { readFacts, type ReadingNotes } from './read-facts.ts'
import { reportGrant } from './reports.ts'
import { assertStartable, type ConsumerState, isRunning } from './state.ts'
import { Tenure } from './tenure.ts'
import type { TenureEnd, TenureScope } from './tenure-scope.ts'

export interface CloseOptions {
  /**
   * How long running handlers may take to finish, in milliseconds; afterwards their signals fire and
   * closing goes on without them.
   * @defaultValue 10_000
   */
  readonly deadlineMs?: number
}

const DEFAULT_CLOSE_DEADLINE_MS = 10_000
/** How long storing the last position and releasing the lease may take. */
const RELEASE_DEADLINE_MS = 2_000
const GREATEST_BACKOFF_MS = 1_000

/**
 * Reads every event of a stream, in order, under a name whose position Redis keeps. One process at a
 * time works under a name; the others stand by.
 *
 * Its loop is supervised: whatever goes wrong, it backs off and begins again, until `close()` or until
 * the owner's policy says stop (`done` then rejects).
 */
export class Consumer<Data> {
  readonly name: string
  /**
   * Resolves when the consumer first holds the lease, or stands by for it; rejects when it stopped or
   * was closed before.
   */
  readonly ready: Promise<void>
  /** Resolves after `close()`; rejects with the reason when the consumer stopped by itself. */
  readonly done: Promise<void>
  readonly #core: Core
  readonly #tails: Tails
  readonly #pulse: Pulse
  readonly #stream: EventStream<never, Data>
  readonly #keys: StreamKeys
  readonly #options: ResolvedConsumerOptions
  readonly #closing = new AbortController()
  readonly #ready = Promise.withResolvers<void>()
  readonly #done = Promise.withResolvers<void>()
  readonly #administrativePause: AdministrativePause
  /** Made with the first reason: most consumers are never paused. */
  #pauses: Set<string> | undefined
  readonly #running = new Map<string, RunningHandler>()
  /** A signal that has fired before closes from within the constructor, so there is one already then. */
  #offSignal: () => void = () => undefined
  #state: ConsumerState = { is: 'idle' }
  #tenure: Tenure<Data> | undefined
  #loop: Promise<void> | undefined
  #drained: Promise<void> | undefined
  #closed: Promise<void> | undefined
  #everReady = false
  /** Whether a request for the lease is on its way. */
  #asking = false
  /** Where the last tenure was. */
  #known: { readonly incarnation: string; readonly position: string } | undefined
  readonly #reading: ReadingNotes = { startedMs: 0, lookedMs: undefined, trouble: '' }

  constructor(
    core: Core,
    tails: Tails,
    pulse: Pulse,
    stream: EventStream<never, Data>,
    options: ResolvedConsumerOptions,
  ) {
    this.#core = core
    this.#tails = tails
    this.#pulse = pulse
    this.#stream = stream
    this.#keys = core.keysOf(stream)
    this.#options = options
    this.name = options.name
    this.ready = this.#ready.promise
    this.done = this.#done.promise
    // Both are for whoever looks; a consumer that nobody awaits must not end the process.
    this.ready.catch(() => undefined)
    this.done.catch(() => undefined)
    this.#administrativePause = new AdministrativePause(
      { stream: stream.name, name: options.name },
      {
        hold: (reason) => {
          this.pause(reason)
        },
        release: (reason) => {
          this.resume(reason)
        },
      },
    )
    this.#offSignal = onAbort(options.signal, () => void this.close())
  }

  get state(): ConsumerState {
    return this.#state
  }

  /** The greatest id with everything at or before it processed here; undefined without the lease. */
  get position(): string | undefined {
    return this.#tenure?.watermark
  }

  /** How many events are received and not done. */
  get inFlight(): number {
    return this.#tenure?.inFlight ?? 0
  }

  /** Why handing out is held back just now; empty when it is not. */
  get pausedBy(): readonly string[] {
    return [...(this.#pauses ?? [])]
  }

  /** Whether it reads, since when that is confirmed, and why not. */
  health(): ReadHealth {
    const { pausedBy, inFlight, state } = this
    const facts = readFacts({
      ...{ stream: this.#stream.name, name: this.name, state, pausedBy, inFlight },
      ...this.#reading,
      subscription: this.#tenure?.subscription,
      mostInFlight: this.#options.maxInFlight,
    })
    return judgeNow(facts, this.#core)
  }

  /**
   * Begins to work. The handler gets each event and its delivery context; an event is processed when
   * the handler returns or its promise resolves.
   * @throws MillraceError `STATE_INVALID` unless the consumer is idle
   */
  start(handler: ConsumerHandler<Data>): this {
    assertStartable(this.#state, this.name)
    if (typeof handler !== 'function') {
      throw new MillraceError(
        'OPTIONS_INVALID',
        `Consumer ${this.name}: the handler must be a function`,
      )
    }
    this.#state = { is: 'starting' }
    this.#reading.startedMs = this.#core.clock.monotonicMs()
    const { instrumentation } = this.#core.options
    const whose = { stream: this.#stream.name, name: this.name, kind: 'consumer' } as const
    const instrumented = instrumentHandler(instrumentation, whose, handler)
    this.#loop = inBackground(instrumentation, () => this.#run(instrumented))
    return this
  }

  /** Hands out nothing more until every reason is resumed; running handlers go on. */
  pause(reason = 'user'): void {
    this.#pauses ??= new Set()
    this.#pauses.add(reason)
  }

  resume(reason = 'user'): void {
    this.#pauses?.delete(reason)
    if (this.pausedBy.length === 0) this.#tenure?.wake()
  }

  /**
   * Takes in nothing more and lets running handlers finish; the lease stays until `close`. After the
   * deadline the handlers' signals fire and draining ends without them. Idempotent.
   */
  drain(options: CloseOptions = {}): Promise<void> {
    this.#drained ??= this.#drain(options.deadlineMs ?? DEFAULT_CLOSE_DEADLINE_MS)
    return this.#drained
  }

  /** Drains, releases the lease, and ends. Idempotent: a second call answers the same promise. */
  close(options: CloseOptions = {}): Promise<void> {
    this.#closed ??= this.#close(options)
    return this.#closed
  }

  /** Resolves when the consumer has ended, whether it was closed or stopped by itself. */
  get closed(): Promise<void> {
    return this.done.catch(() => undefined)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #drain(deadlineMs: number): Promise<void> {
    if (this.#state.is === 'idle' || isRunning(this.#state)) this.#state = { is: 'draining' }
    if (this.#tenure !== undefined) await this.#drainTenure(this.#tenure, deadlineMs)
  }

  async #close(options: CloseOptions): Promise<void> {
    this.#offSignal()
    await this.drain(options)
    // Whatever is still to be said to Redis has a little time; then the lease runs out by itself.
    const cancel = this.#core.clock.after(RELEASE_DEADLINE_MS, () => {
      this.#closing.abort()
      this.#tenure?.abandon('Redis did not answer while closing')
    })
    if (this.#tenure !== undefined) await this.#tenure.release()
    else if (!this.#asking) this.#closing.abort()
    await this.#loop
    cancel()
    this.#closing.abort()
    if (this.#state.is !== 'stopped') this.#state = { is: 'closed' }
    this.#ready.reject(
      new MillraceError('CLOSED', `Consumer ${this.name} was closed before it was ready`, {
        name: this.name,
      }),
    )
    this.#done.resolve()
  }

  async #drainTenure(tenure: Tenure<Data>, deadlineMs: number): Promise<void> {
    const { promise: late, resolve } = Promise.withResolvers<void>()
    const cancel = this.#core.clock.after(deadlineMs, () => {
      tenure.abortHandlers(
        new MillraceError('CLOSED', `Consumer ${this.name} closes; the deadline has passed`, {
          name: this.name,
        }),
      )
      resolve()
    })
    await Promise.race([tenure.drain(), late])
    cancel()
  }

  async #run(handler: ConsumerHandler<Data>): Promise<void> {
    let release: () => void
    try {
      // Before the lease: whoever cannot read must not keep others from it.
      release = this.#tails.hold(this.#stream)
    } catch (error) {
      this.#stop(fromRedis(error, { stream: this.#stream.name, name: this.name }))
      return
    }
    try {
      await this.#workAgainAndAgain(handler)
    } finally {
      release()
    }
  }

  /** Acquires, works, and begins again, until closed or stopped. */
  async #workAgainAndAgain(handler: ConsumerHandler<Data>): Promise<void> {
    const { signal } = this.#closing
    let expected: { token: string } | undefined
    let backoffMs = 0
    while (!signal.aborted) {
      try {
        await this.#core.verify(this.#stream, signal)
        const taken = await this.#acquire(expected)
        if (taken === undefined) break
        const end = await this.#work(this.#scope(handler), taken.grant, taken.sentMs)
        expected = this.#afterTenure(end, taken.grant)
        backoffMs = 0
        if (this.#state.is === 'stopped') return
        if (end.why !== 'released') await pause(this.#core.clock, 10, signal)
      } catch (error) {
        if (signal.aborted) break
        // What is wrong from the start is for the user to mend; later on it is an outage to outlast.
        if (!this.#everReady && isMillraceError(error) && !error.retryable) {
          this.#stop(error)
          return
        }
        channels.loopFailed.publish({
          loop: 'consumer',
          stream: this.#stream.name,
          name: this.name,
          error: error instanceof Error ? error : new Error(messageOf(error)),
        })
        this.#reading.trouble = messageOf(error)
        if (isRunning(this.#state)) this.#state = { is: 'standby', holder: '' }
        backoffMs = Math.min(Math.max(backoffMs * 2, 50), GREATEST_BACKOFF_MS)
        await pause(this.#core.clock, backoffMs, signal)
      }
    }
  }

  async #work(scope: TenureScope<Data>, grant: Grant, sentMs: number): Promise<TenureEnd> {
    const tenure = new Tenure(scope, grant, sentMs)
    this.#tenure = tenure
    this.#report('acquired', grant.fence.token, grant.unclean ? 'the holder before is gone' : '')
    if (isRunning(this.#state)) {
      this.#state = { is: 'holding', token: grant.fence.token }
      this.#becomeReady()
      tenure.begin()
    } else {
      // Closed while the request was on its way: the lease goes straight back.
      this.#pulse.add(tenure)
      void tenure.release()
    }
    const end = await tenure.ended
    this.#known = { incarnation: grant.incarnation, position: tenure.storedPosition }
    this.#tenure = undefined
    return end
  }

  /** What the next attempt may expect, given how a tenure ended. */
  #afterTenure(end: TenureEnd, grant: Grant): { token: string } | undefined {
    const { token } = grant.fence
    switch (end.why) {
      case 'released':
        this.#report('released', token, '')
        return undefined
      case 'lost':
        this.#report('lost', token, end.detail)
        if (isRunning(this.#state)) this.#state = { is: 'standby', holder: '' }
        // If nobody took it over meanwhile it is still ours to take.
        return { token }
      case 'resync':
        return { token }
      case 'stopped':
        this.#stop(end.error)
        return undefined
      default:
        return end satisfies never
    }
  }

  /** Looks and waits until the lease is ours; undefined when the consumer closes. */
  async #acquire(
    own: { token: string } | undefined,
  ): Promise<{ grant: Grant; sentMs: number } | undefined> {
    const { signal } = this.#closing
    const { clock } = this.#core
    let expected: { token: string; beat?: number } | undefined = own
    let observation: Observation | undefined
    while (!signal.aborted && this.#state.is !== 'draining') {
      const { answer, sentMs } = await this.#ask(
        expected,
        expected !== undefined && expected === own,
      )
      if (!answer.held) {
        reportGrant(this.#stream.name, this.name, answer.grant)
        return { grant: answer.grant, sentMs }
      }
      if (isRunning(this.#state)) this.#state = { is: 'standby', holder: answer.holder }
      this.#becomeReady()
      const seen = { token: answer.token, beat: answer.beat, leaseMs: answer.leaseMs }
      const gone =
        this.#core.options.sameHostTakeover && isProvablyGone(answer.holder, this.#core.host)
      const verdict = observe(observation, seen, clock.monotonicMs())
      observation = verdict.observation
      if (gone || verdict.action === 'take-over') {
        expected = { token: answer.token, beat: answer.beat }
        observation = undefined
        if (gone || own === undefined || own.token !== answer.token) {
          this.#report(
            'taken-over',
            answer.token,
            gone ? 'its process is gone' : 'its lease ran out',
          )
        }
        continue
      }
      expected = undefined
      await pause(clock, lookEveryMs(answer.leaseMs), signal)
    }
    return undefined
  }

  async #ask(
    expected: { token: string; beat?: number } | undefined,
    own: boolean,
  ): Promise<LeaseAnswer> {
    const request: AcquireRequest = {
      name: this.name,
      start: startArgument(this.#options.from),
      nonce: newNonce(),
      holder: formatHost(this.#core.host),
      leaseMs: this.#options.leaseMs,
      own,
      ...(expected === undefined ? {} : { expected }),
      ...(this.#known === undefined ? {} : { known: this.#known }),
    }
    this.#asking = true
    try {
      const asked = await askForLease(this.#core, this.#keys, request, this.#closing.signal)
      this.#reading.lookedMs = this.#core.clock.monotonicMs()
      this.#reading.trouble = ''
      return asked
    } finally {
      this.#asking = false
    }
  }

  #becomeReady(): void {
    this.#everReady = true
    this.#ready.resolve()
  }

  #scope(handler: ConsumerHandler<Data>): TenureScope<Data> {
    return {
      core: this.#core,
      streamName: this.#stream.name,
      keys: this.#keys,
      options: this.#options,
      feed: this.#tails.feed(this.#stream),
      pulse: this.#pulse,
      decode: decoderOf(this.#stream),
      binary: this.#stream.codec.binary,
      handler,
      running: this.#running,
      isPaused: () => this.#pauses !== undefined && this.#pauses.size > 0,
      notePause: (asked) => {
        this.#administrativePause.note(asked)
      },
    }
  }

  #stop(error: MillraceError): void {
    this.#state = { is: 'stopped', error }
    this.#offSignal()
    this.#ready.reject(error)
    this.#done.reject(error)
  }

  #report(change: LeaseChanged['change'], token: string, reason: string): void {
    channels.leaseChanged.publish({
      stream: this.#stream.name,
      name: this.name,
      change,
      token,
      reason,
    })
  }
}
