import { randomBytes } from 'node:crypto'
import { AdministrativePause } from '../admin/administrative-pause.ts'
import type { Core } from '../core.ts'
import { MillraceError } from '../errors.ts'
import { judgeNow, type ReadFacts, type ReadHealth } from '../health/read-health.ts'
import { inBackground, instrumentHandler } from '../instrumentation/instrumentation.ts'
import { onAbort } from '../lifecycle/signals.ts'
import { decoderOf } from '../stream/decode.ts'
import type { EventStream } from '../stream/define-stream.ts'
import { GroupCommands } from './commands.ts'
import type { GroupHandler } from './dispatcher.ts'
import { MemberLoop } from './member-loop.ts'
import { type GroupOptions, type ResolvedGroupOptions, resolveGroupOptions } from './options.ts'
import { reportAbandoned } from './report.ts'
import { expectState, type GroupState } from './state.ts'
import { Workbench } from './workbench.ts'

/** How long something may take. */
export interface Deadline {
  /** In milliseconds. @defaultValue 10_000 */
  readonly deadlineMs?: number
}

/** What was left when the deadline of draining or closing passed. */
export interface Leftovers {
  /** The ids of events whose handlers still ran. They were told, and other members may have the events. */
  readonly unfinished: readonly string[]
}

const DEFAULT_DEADLINE_MS = 10_000

/** Before it is started. */
const NOT_READING = {
  phase: 'idle',
  confirmedMs: undefined,
  restedMs: undefined,
  holdsLease: false,
  isFull: false,
  trouble: '',
} as const

/** Leaving is one script; when Redis is away the lease runs out instead. */
const LEAVE_MS = 1_000

/**
 * One member of a consumer group: a pool of workers, on whatever machines, that share the events of a
 * stream. Each event goes to one member; there is no order. An event counts as handled when its
 * handler has succeeded and Redis has confirmed it; until then the member holds it under a lease, and
 * when the member dies another one takes the event over.
 */
export class ConsumerGroup<Data> {
  readonly name: string
  readonly #core: Core
  readonly #stream: EventStream<never, Data>
  readonly #options: ResolvedGroupOptions
  readonly #ready = Promise.withResolvers<void>()
  readonly #closed = Promise.withResolvers<void>()
  readonly #done = Promise.withResolvers<void>()
  readonly #pauses = new Set<string>()
  readonly #administrativePause: AdministrativePause
  #state: GroupState = 'idle'
  #parts: { readonly workbench: Workbench<Data>; readonly loop: MemberLoop<Data> } | undefined
  #running: Promise<void> = Promise.resolve()
  #draining: Promise<Leftovers> | undefined
  #closing: Promise<Leftovers> | undefined
  #stopError: MillraceError | undefined
  #offAbort: () => void = () => undefined
  #startedMs = 0

  /** @throws MillraceError `OPTIONS_INVALID`, listing all problems */
  constructor(core: Core, stream: EventStream<never, Data>, options: GroupOptions) {
    this.#core = core
    this.#stream = stream
    this.#options = resolveGroupOptions(options, () => `member-${randomBytes(4).toString('hex')}`)
    this.name = this.#options.name
    this.#administrativePause = new AdministrativePause(
      { stream: stream.name, name: this.name },
      {
        hold: (reason) => {
          this.#hold(reason)
        },
        release: (reason) => {
          this.#release(reason)
        },
      },
    )
    // Nobody has to listen to these.
    this.#ready.promise.catch(() => undefined)
    this.#done.promise.catch(() => undefined)
  }

  get state(): GroupState {
    return this.#state
  }

  /** Resolves once it is a member; rejects when it is closed or has to stop before. */
  get ready(): Promise<void> {
    return this.#ready.promise
  }

  /** Resolves when nothing of it is left. */
  get closed(): Promise<void> {
    return this.#closed.promise
  }

  /** Resolves when it was closed; rejects with the error that stopped it. */
  get done(): Promise<void> {
    return this.#done.promise
  }

  /** The reasons for which it is paused. */
  get pausedBy(): readonly string[] {
    return [...this.#pauses]
  }

  /** Whether it reads, since when that is confirmed, and why not. */
  health(): ReadHealth {
    return judgeNow(this.#facts(), this.#core)
  }

  /** @throws MillraceError `STATE_INVALID` when it was started before */
  start(handler: GroupHandler<Data>): this {
    expectState('start', this.#state, ['idle'], this.name)
    this.#state = 'running'
    this.#startedMs = this.#core.clock.monotonicMs()
    const keys = this.#core.keysOf(this.#stream)
    const commands = new GroupCommands(this.#core, this.#stream.name, keys, this.#options)
    const { binary } = this.#stream.codec
    const { instrumentation } = this.#core.options
    const whose = { stream: this.#stream.name, name: this.name, kind: 'group' } as const
    const stop = (error: MillraceError): void => {
      this.#stop(error)
    }
    const workbench: Workbench<Data> = new Workbench({
      options: this.#options,
      stream: this.#stream.name,
      binary,
      clock: this.#core.clock,
      commands,
      downloads: this.#core.downloads,
      decode: decoderOf(this.#stream),
      handler: instrumentHandler(instrumentation, whose, handler),
      ports: {
        stop,
        refused: (membership, refusal) => {
          loop.refused(membership, refusal)
        },
        roomy: () => {
          loop.claimMore()
        },
        sated: () => {
          void loop.interruptRead()
        },
      },
    })
    const loop = new MemberLoop(
      this.#core,
      commands,
      this.#options,
      workbench,
      {
        name: this.#stream.name,
        binary,
        verify: (signal) => this.#core.verify(this.#stream, signal),
      },
      {
        joined: this.#ready.resolve,
        stop,
        notePause: (pause) => {
          this.#administrativePause.note(pause)
        },
      },
    )
    this.#parts = { workbench, loop }
    workbench.paused = this.#pauses.size > 0
    this.#running = inBackground(instrumentation, () => loop.run()).then(() => {
      // Only a stop, a close or the end of all connections ends the loop.
      if (this.#core.connections.closed.aborted) void this.close({ deadlineMs: 0 })
    })
    this.#offAbort = onAbort(this.#options.signal, () => {
      void this.close()
    })
    return this
  }

  /**
   * With `take: 'on-demand'`: the handler may be called so many times more, whatever was asked for before.
   * Events that one read brings end what was asked for, be they fewer; ask again for more. After a
   * moment in which nothing is asked for, what was taken and not handled is given back to the group.
   * @throws MillraceError `STATE_INVALID` while it is not running, or takes ahead
   */
  ask(count: number): void {
    expectState('ask', this.#state, ['running'], this.name)
    if (this.#options.take !== 'on-demand') {
      throw new MillraceError(
        'STATE_INVALID',
        `Consumer group ${this.name} takes ahead: ask is possible only with take: 'on-demand'`,
        { name: this.name },
      )
    }
    this.#parts?.workbench.ask(Math.max(Math.trunc(count), 0))
  }

  /** Starts and reads nothing more until every reason is taken back; handlers that run go on. */
  pause(reason = 'user'): void {
    expectState('pause', this.#state, ['idle', 'running'], this.name)
    this.#hold(reason)
  }

  resume(reason = 'user'): void {
    expectState('resume', this.#state, ['idle', 'running'], this.name)
    this.#release(reason)
  }

  /**
   * Stops taking in events, gives back at once those that were not started, and waits for the handlers
   * that run. It stays a member, so that their results count, until it is closed.
   */
  drain(deadline: Deadline = {}): Promise<Leftovers> {
    if (this.#draining !== undefined) return this.#draining
    expectState('drain', this.#state, ['idle', 'running'], this.name)
    this.#state = 'draining'
    this.#draining = this.#drain(deadline.deadlineMs ?? DEFAULT_DEADLINE_MS)
    return this.#draining
  }

  /** Drains, and leaves the group. Idempotent: a second call answers the same promise. */
  close(deadline: Deadline = {}): Promise<Leftovers> {
    this.#closing ??= this.#close(deadline.deadlineMs ?? DEFAULT_DEADLINE_MS)
    return this.#closing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #facts(): ReadFacts {
    const reading = this.#parts?.loop.reading() ?? NOT_READING
    return {
      ...{ stream: this.#stream.name, name: this.name, kind: 'group' },
      ...reading,
      phase: this.#phase(reading.phase),
      pausedBy: this.pausedBy,
      startedMs: this.#startedMs,
      trouble: this.#stopError?.message ?? reading.trouble,
      inFlight: this.#parts?.workbench.holdings.active ?? 0,
      mostInFlight: this.#options.prefetch,
    }
  }

  #phase(running: ReadFacts['phase']): ReadFacts['phase'] {
    if (this.#stopError !== undefined) return 'stopped'
    if (this.#state === 'idle' || this.#state === 'running') return running
    return 'closing'
  }

  #hold(reason: string): void {
    this.#pauses.add(reason)
    if (this.#parts === undefined) return
    this.#parts.workbench.paused = true
    void this.#parts.loop.interruptRead()
  }

  #release(reason: string): void {
    this.#pauses.delete(reason)
    if (this.#parts !== undefined) this.#parts.workbench.paused = this.#pauses.size > 0
  }

  #stop(error: MillraceError): void {
    if (this.#stopError !== undefined || this.#closing !== undefined) return
    this.#stopError = error
    void this.close()
  }

  async #drain(deadlineMs: number): Promise<Leftovers> {
    const leftovers = await this.#finish(deadlineMs)
    if (this.#state === 'draining') this.#state = 'drained'
    return leftovers
  }

  async #finish(deadlineMs: number): Promise<Leftovers> {
    if (this.#parts === undefined) return { unfinished: [] }
    const { workbench, loop } = this.#parts
    const expired = new AbortController()
    const cancel = this.#core.clock.after(deadlineMs, () => {
      expired.abort()
    })
    const offClosed = onAbort(this.#core.connections.closed, () => {
      expired.abort()
    })
    try {
      workbench.drain()
      await loop.stopReading(expired.signal)
      await this.#running
      await workbench.finished(expired.signal)
    } finally {
      cancel()
      offClosed()
    }
    return { unfinished: workbench.running() }
  }

  async #close(deadlineMs: number): Promise<Leftovers> {
    this.#state = 'closing'
    this.#offAbort()
    const leftovers = await this.#finish(deadlineMs)
    if (this.#parts !== undefined) {
      const { workbench, loop } = this.#parts
      const { unfinished } = leftovers
      if (unfinished.length > 0) {
        const reason = new MillraceError('ABORTED', 'The deadline of closing has passed', {
          name: this.name,
        })
        workbench.abortRunning(reason)
        reportAbandoned(unfinished, reason, { stream: this.#stream.name, name: this.name })
      }
      await loop.leave(LEAVE_MS)
      workbench.close()
      await loop.close()
    }
    this.#state = 'closed'
    const before = new MillraceError('CLOSED', `Consumer group ${this.name} was closed`, {
      name: this.name,
    })
    this.#ready.reject(this.#stopError ?? before)
    if (this.#stopError === undefined) this.#done.resolve()
    else this.#done.reject(this.#stopError)
    this.#closed.resolve()
    return leftovers
  }
}
