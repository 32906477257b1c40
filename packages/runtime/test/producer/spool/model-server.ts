import { MillraceError } from '../../../src/errors.ts'
import type { Answer } from '../../../src/producer/window.ts'

/** One copy of a batch on its way. */
export interface ModelRequest<E> {
  readonly epoch: string
  readonly first: number
  readonly events: readonly E[]
  readonly withSource: boolean
  readonly answered: (answer: Answer) => void
}

type LogEntry<E> =
  | {
      readonly kind: 'appended'
      readonly epoch: string
      readonly first: number
      readonly last: number
      readonly events: readonly E[]
    }
  | { readonly kind: 'closed'; readonly epoch: string }

/** What the append script and its server do, and how they fail. */
export class ModelServer<E> {
  hasScript = false
  refusing: 'loading' | 'out-of-memory' | undefined
  #log: LogEntry<E>[] = []
  #requests: ModelRequest<E>[] = []
  #replies: [ModelRequest<E>, Answer][] = []
  #late: ModelRequest<E>[] = []
  readonly #forgotten = new Set<E>()

  stored(): E[] {
    return this.#log.flatMap((entry) => (entry.kind === 'appended' ? entry.events : []))
  }

  hasForgotten(event: E): boolean {
    return this.#forgotten.has(event)
  }

  receive(request: ModelRequest<E>): void {
    this.#requests.push(request)
  }

  execute(commands: number): void {
    for (const request of this.#requests.splice(0, commands))
      this.#replies.push([request, this.#executeOne(request)])
  }

  takeReplies(replies: number): [ModelRequest<E>, Answer][] {
    return this.#replies.splice(0, replies)
  }

  /** The connection ends; what was sent on it may still be executed if it lingers. */
  disconnect(requestsLinger: boolean): ModelRequest<E>[] {
    const unanswered = [...this.#replies.map(([request]) => request), ...this.#requests]
    if (requestsLinger) this.#late.push(...this.#requests)
    this.#requests = []
    this.#replies = []
    return unanswered
  }

  executeLate(pick: number): void {
    const [late] = this.#late.splice(pick % Math.max(this.#late.length, 1), 1)
    if (late !== undefined) this.#executeOne(late)
  }

  executeAllLate(): void {
    for (const late of this.#late) this.#executeOne(late)
  }

  /** Another server takes over without the last part of the log; nothing sent to the old one reaches it. */
  failover(forgets: number): void {
    const lost = this.#log.splice(Math.max(this.#log.length - forgets, 0))
    this.#late = []
    this.hasScript = false
    for (const entry of lost) {
      if (entry.kind === 'appended') for (const event of entry.events) this.#forgotten.add(event)
    }
  }

  closeEpoch(epoch: string): number {
    this.#log.push({ kind: 'closed', epoch })
    return this.#lastOf(epoch)
  }

  #executeOne({ epoch, first, events, withSource }: ModelRequest<E>): Answer {
    if (this.refusing === 'loading') return refused('loading', undefined)
    if (withSource) this.hasScript = true
    if (!this.hasScript) return refused('no-script', undefined)
    if (this.refusing === 'out-of-memory')
      return refused('out-of-memory', new MillraceError('OUT_OF_MEMORY', 'full'))
    if (this.#log.some((entry) => entry.kind === 'closed' && entry.epoch === epoch))
      return { kind: 'closed' }
    const last = this.#lastOf(epoch)
    if (first > last + 1) return { kind: 'gap', last }
    if (first === last + 1) {
      const appended = {
        kind: 'appended' as const,
        epoch,
        first,
        last: last + events.length,
        events,
      }
      this.#log.push(appended)
    } else if (!this.#knows(epoch, first, events.length)) {
      throw new Error(`the batch at ${first} of ${epoch} was cut differently before`)
    }
    return { kind: 'appended', placement: { firstId: '1-0', originals: undefined } }
  }

  #knows(epoch: string, first: number, count: number): boolean {
    return this.#log.some(
      (entry) =>
        entry.kind === 'appended' &&
        entry.epoch === epoch &&
        entry.first === first &&
        entry.events.length === count,
    )
  }

  #lastOf(epoch: string): number {
    let last = 0
    for (const entry of this.#log) {
      if (entry.kind === 'appended' && entry.epoch === epoch) last = entry.last
    }
    return last
  }
}

function refused(reason: string, fatal: MillraceError | undefined): Answer {
  return { kind: 'refused', reason, fatal, certain: true }
}
