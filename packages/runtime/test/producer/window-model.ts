import { MillraceError } from '../../src/errors.ts'
import {
  type Answer,
  add,
  answeredThrough,
  type Batch,
  mayAdd,
  openWindow,
  reopen,
  resume,
  sent,
  settle,
  takeRefused,
  type Window,
} from '../../src/producer/window.ts'

/**
 * A producer's window between a caller and a server that loses what it can: requests, replies, whole
 * connections, its scripts, its memory, and by failovers the last part of its log. A step is one thing
 * that happens; after all of them the faults end and everything still waiting must come to a result.
 */
export type Step =
  | { readonly kind: 'publish'; readonly events: number }
  | { readonly kind: 'server-executes'; readonly commands: number }
  | { readonly kind: 'reply-arrives'; readonly replies: number }
  | { readonly kind: 'connection-dies' }
  | { readonly kind: 'late-copy-executes'; readonly pick: number }
  | { readonly kind: 'script-flush' }
  | { readonly kind: 'refuse'; readonly reason: 'loading' | 'out-of-memory' | undefined }
  | { readonly kind: 'failover'; readonly forgets: number }
  | { readonly kind: 'give-up'; readonly pick: number }
  | { readonly kind: 'producer-acts'; readonly closeReplyIsLost: boolean }

interface ModelEvent {
  readonly number: number
  outcome: 'confirmed' | 'not-stored' | 'unknown' | 'waiting'
  /** Counts how often it was told to have been stored. */
  confirmations: number
}

interface Request {
  readonly epoch: string
  readonly first: number
  readonly events: readonly ModelEvent[]
  readonly withSource: boolean
  readonly batch: Batch<ModelEvent>
}

/** One entry of the server's log: a failover takes away the last of them. */
type LogEntry =
  | {
      readonly kind: 'appended'
      readonly epoch: string
      readonly last: number
      readonly events: readonly ModelEvent[]
    }
  | { readonly kind: 'closed'; readonly epoch: string }

export class Model {
  readonly events: ModelEvent[] = []
  readonly #window: Window<ModelEvent> = openWindow('epoch-1')
  #epochs = 1
  #queue: ModelEvent[] = []
  #log: LogEntry[] = []
  #hasScript = false
  #refusing: 'loading' | 'out-of-memory' | undefined
  #connected = false
  #requests: Request[] = []
  #replies: { readonly batch: Batch<ModelEvent>; readonly answer: Answer }[] = []
  #late: Request[] = []
  /** Confirmed events that a failover took away: nobody can keep those. */
  readonly #forgotten = new Set<ModelEvent>()

  run(steps: readonly Step[]): void {
    for (const step of steps) this.#take(step)
    this.#refusing = undefined
    // Bounded: whatever a heal cannot bring to an end in this many rounds, hangs.
    for (let round = 0; round < 200 && this.#waiting().length > 0; round++) {
      this.#act(false)
      this.#execute(64)
      this.#deliver(64)
    }
    for (const late of this.#late) this.#executeOne(late)
  }

  /** Everything that is wrong with how it ended, in words. */
  problems(): string[] {
    const problems: string[] = []
    const stored = this.stored()
    const seen = new Set<ModelEvent>()
    let previous = 0
    for (const event of stored) {
      if (seen.has(event)) problems.push(`event ${event.number} is in the stream twice`)
      seen.add(event)
      if (event.number < previous) problems.push(`event ${event.number} comes after ${previous}`)
      previous = event.number
    }
    for (const event of this.events) {
      if (event.outcome === 'waiting') problems.push(`event ${event.number} waits for ever`)
      if (event.confirmations > 1) problems.push(`event ${event.number} was confirmed twice`)
      if (event.outcome === 'confirmed' && !seen.has(event) && !this.#forgotten.has(event)) {
        problems.push(`event ${event.number} was confirmed and is lost`)
      }
      if (event.outcome === 'not-stored' && seen.has(event)) {
        problems.push(`event ${event.number} was refused and is in the stream`)
      }
    }
    return problems
  }

  stored(): ModelEvent[] {
    return this.#log.flatMap((entry) => (entry.kind === 'appended' ? entry.events : []))
  }

  get epochs(): number {
    return this.#epochs
  }

  #take(step: Step): void {
    switch (step.kind) {
      case 'publish':
        for (let i = 0; i < step.events; i++) {
          const event: ModelEvent = {
            number: this.events.length + 1,
            outcome: 'waiting',
            confirmations: 0,
          }
          this.events.push(event)
          this.#queue.push(event)
        }
        return
      case 'server-executes':
        this.#execute(step.commands)
        return
      case 'reply-arrives':
        this.#deliver(step.replies)
        return
      case 'connection-dies':
        this.#die(true)
        return
      case 'late-copy-executes': {
        const late = this.#late[step.pick % Math.max(this.#late.length, 1)]
        if (late !== undefined) {
          this.#late.splice(this.#late.indexOf(late), 1)
          this.#executeOne(late)
        }
        return
      }
      case 'script-flush':
        this.#hasScript = false
        return
      case 'refuse':
        this.#refusing = step.reason
        return
      case 'failover':
        this.#failover(step.forgets)
        return
      case 'give-up':
        this.#giveUp(step.pick)
        return
      case 'producer-acts':
        this.#act(step.closeReplyIsLost)
        return
      default:
        step satisfies never
    }
  }

  #waiting(): ModelEvent[] {
    return this.events.filter((event) => event.outcome === 'waiting')
  }

  /** What the send loop does with the window, without the waiting. */
  #act(closeReplyIsLost: boolean): void {
    const window = this.#window
    if (window.outstanding > 0 && window.stalled) return
    if (window.stalled || !this.#connected) {
      if (window.outstanding > 0 || this.#waiting().length === 0) return
      for (const { events } of takeRefused(window, isWaiting)) reject(events)
      if (this.#waiting().length === 0) return
      this.#connected = true
      const step = resume(window, isWaiting)
      if (step.kind === 'close-epoch') {
        const last = this.#closeEpoch(window.epoch)
        if (closeReplyIsLost) return
        const { appended, rejected } = reopen(window, last, `epoch-${++this.#epochs}`, isWaiting)
        for (const batch of appended) confirm(batch.events)
        for (const { events } of rejected) reject(events)
        return
      }
      for (const { events } of step.rejected) reject(events)
      for (const batch of step.batches) this.#send(batch)
    }
    this.#queue = this.#queue.filter(isWaiting)
    while (mayAdd(window) && this.#queue.length > 0) {
      this.#send(add(window, this.#queue.splice(0, 3), 0))
    }
  }

  #send(batch: Batch<ModelEvent>): void {
    const window = this.#window
    if (answeredThrough(window) !== (window.unresolved[0]?.first ?? 0) - 1)
      throw new Error('a batch is not listed')
    this.#requests.push({
      epoch: window.epoch,
      first: batch.first,
      events: batch.events,
      withSource: window.needsSource,
      batch,
    })
    window.needsSource = false
    sent(window, batch)
  }

  #execute(commands: number): void {
    for (const request of this.#requests.splice(0, commands)) {
      this.#replies.push({ batch: request.batch, answer: this.#executeOne(request) })
    }
  }

  #executeOne(request: Request): Answer {
    if (this.#refusing === 'loading') return refused('loading', undefined)
    if (request.withSource) this.#hasScript = true
    if (!this.#hasScript) return refused('no-script', undefined)
    if (this.#refusing === 'out-of-memory') {
      return refused('out-of-memory', new MillraceError('OUT_OF_MEMORY', 'full'))
    }
    if (this.#log.some((entry) => entry.kind === 'closed' && entry.epoch === request.epoch)) {
      return { kind: 'closed' }
    }
    const last = this.#lastOf(request.epoch)
    if (request.first > last + 1) return { kind: 'gap', last }
    if (request.first === last + 1) {
      this.#log.push({
        kind: 'appended',
        epoch: request.epoch,
        last: last + request.events.length,
        events: request.events,
      })
    }
    return { kind: 'appended', placement: { firstId: '1-0', originals: undefined } }
  }

  #closeEpoch(epoch: string): number {
    this.#log.push({ kind: 'closed', epoch })
    return this.#lastOf(epoch)
  }

  #lastOf(epoch: string): number {
    let last = 0
    for (const entry of this.#log) {
      if (entry.kind === 'appended' && entry.epoch === epoch) last = entry.last
    }
    return last
  }

  #deliver(replies: number): void {
    for (const { batch, answer } of this.#replies.splice(0, replies)) this.#settle(batch, answer)
  }

  #settle(batch: Batch<ModelEvent>, answer: Answer): void {
    settle(this.#window, batch, answer)
    if (answer.kind === 'appended') confirm(batch.events)
  }

  #die(requestsLinger: boolean): void {
    this.#connected = false
    const copies = [
      ...this.#replies.map(({ batch }) => batch),
      ...this.#requests.map(({ batch }) => batch),
    ]
    if (requestsLinger) this.#late.push(...this.#requests)
    this.#requests = []
    this.#replies = []
    for (const batch of copies) this.#settle(batch, { kind: 'lost', reason: 'reset' })
  }

  /** Another server takes over without the last part of the log; nothing sent to the old one reaches it. */
  #failover(forgets: number): void {
    const forgotten = this.#log.splice(Math.max(this.#log.length - forgets, 0))
    this.#late = []
    this.#hasScript = false
    this.#die(false)
    for (const entry of forgotten) {
      if (entry.kind === 'appended') for (const event of entry.events) this.#forgotten.add(event)
    }
  }

  #giveUp(pick: number): void {
    const waiting = this.#waiting()
    const event = waiting[pick % Math.max(waiting.length, 1)]
    if (event === undefined) return
    const batch = this.#window.unresolved.find((candidate) => candidate.events.includes(event))
    event.outcome =
      batch !== undefined && (batch.outstanding || batch.unknown) ? 'unknown' : 'not-stored'
  }
}

function refused(reason: string, fatal: MillraceError | undefined): Answer {
  return { kind: 'refused', reason, fatal, certain: true }
}

function confirm(events: readonly ModelEvent[]): void {
  for (const event of events) {
    if (event.outcome === 'waiting' || event.outcome === 'confirmed') event.confirmations++
    if (event.outcome === 'waiting') event.outcome = 'confirmed'
  }
}

function reject(events: readonly ModelEvent[]): void {
  for (const event of events) if (event.outcome === 'waiting') event.outcome = 'not-stored'
}

function isWaiting(event: ModelEvent): boolean {
  return event.outcome === 'waiting'
}
