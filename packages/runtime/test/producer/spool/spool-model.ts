import {
  type Answer,
  add,
  type Batch,
  keepUnresolved,
  mayAdd,
  openWindow,
  reopen,
  resolvedThrough,
  resume,
  sent,
  settle,
  takeRefused,
  unkeep,
  type Window,
} from '../../../src/producer/window.ts'
import { ModelServer } from './model-server.ts'

/**
 * A producer with a spool, its disk, and processes that die: what the window model in the folder above
 * does to one process, and what only a disk can bring. A step is one thing that happens.
 */
export type SpoolStep =
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
  | { readonly kind: 'spool'; readonly diskIsFull: boolean }
  | { readonly kind: 'disk-forgets-what-is-in-the-stream' }
  | { readonly kind: 'process-dies' }

export interface ModelEvent {
  readonly number: number
  outcome: 'in-spool' | 'in-stream' | 'not-stored' | 'unknown' | 'waiting'
  answers: number
  /** Its process died before it had an answer. */
  orphaned: boolean
}

interface Row {
  readonly position: number
  first: number
  readonly events: readonly ModelEvent[]
}

/** One process's way to Redis; those of dead processes come first. */
interface Lane {
  readonly window: Window<ModelEvent>
  /** What is on disk, under `epoch`: all that survives the process. */
  rows: Row[]
  epoch: string
  appended: number
  taken: number
}

export class SpoolModel {
  readonly events: ModelEvent[] = []
  readonly server: ModelServer<ModelEvent> = new ModelServer<ModelEvent>()
  readonly #numberingProblems: string[] = []
  #epochs = 0
  #lanes: Lane[] = [this.#freshLane()]
  #queue: ModelEvent[] = []
  #isConnected = false
  deaths = 0
  adoptions = 0

  run(steps: readonly SpoolStep[]): void {
    for (const step of steps) this.#take(step)
    this.server.refusing = undefined
    for (let round = 0; round < 500 && this.#hasWork(); round++) {
      this.#act(false)
      this.server.execute(64)
      this.#deliver(64)
    }
    this.server.executeAllLate()
  }

  /** Everything that is wrong with how it ended, in words. */
  problems(): string[] {
    const problems = [...this.#numberingProblems]
    const seen = new Set<ModelEvent>()
    let previous = 0
    for (const event of this.server.stored()) {
      if (seen.has(event)) problems.push(`event ${event.number} is in the stream twice`)
      seen.add(event)
      // A late copy of what nobody had an answer for may come whenever it likes.
      if (event.orphaned) continue
      if (event.number < previous) problems.push(`event ${event.number} comes after ${previous}`)
      previous = event.number
    }
    for (const event of this.events) {
      const { number, outcome } = event
      if (outcome === 'waiting') problems.push(`event ${number} waits for ever`)
      if (event.answers > 1) problems.push(`event ${number} was answered twice`)
      if (outcome === 'not-stored' && seen.has(event))
        problems.push(`event ${number} was refused and is in the stream`)
      const isSafe = outcome === 'in-stream' || outcome === 'in-spool'
      if (isSafe && !seen.has(event) && !this.server.hasForgotten(event))
        problems.push(`event ${number} was answered ${outcome} and is lost`)
    }
    if (this.#hasRows()) problems.push('something is left on disk that is not in the stream')
    return problems
  }

  #take(step: SpoolStep): void {
    switch (step.kind) {
      case 'publish':
        for (let i = 0; i < step.events; i++) this.#publish()
        return
      case 'server-executes':
        this.server.execute(step.commands)
        return
      case 'reply-arrives':
        this.#deliver(step.replies)
        return
      case 'connection-dies':
        this.#disconnect(true)
        return
      case 'late-copy-executes':
        this.server.executeLate(step.pick)
        return
      case 'script-flush':
        this.server.hasScript = false
        return
      case 'refuse':
        this.server.refusing = step.reason
        return
      case 'failover':
        this.#disconnect(false)
        this.server.failover(step.forgets)
        return
      case 'give-up':
        this.#giveUp(step.pick)
        return
      case 'producer-acts':
        this.#act(step.closeReplyIsLost)
        return
      case 'spool':
        this.#spool(step.diskIsFull)
        return
      case 'disk-forgets-what-is-in-the-stream':
        for (const lane of this.#lanes) removeResolved(lane)
        return
      case 'process-dies':
        this.#die()
        return
      default:
        step satisfies never
    }
  }

  #publish(): void {
    const number = this.events.length + 1
    const event: ModelEvent = { number, outcome: 'waiting', answers: 0, orphaned: false }
    this.events.push(event)
    this.#queue.push(event)
  }

  get #own(): Lane {
    const own = this.#lanes.at(-1)
    if (own === undefined) throw new Error('a process always has a lane of its own')
    return own
  }

  #freshLane(): Lane {
    const epoch = `epoch-${++this.#epochs}`
    return { window: openWindow(epoch), rows: [], epoch, appended: 0, taken: 0 }
  }

  #hasWork(): boolean {
    return this.events.some(isWaiting) || this.#hasRows()
  }

  #hasRows(): boolean {
    return this.#lanes.some((lane) => !isEmpty(lane))
  }

  /** What the send loop does, for the oldest lane that has something left. */
  #act(closeReplyIsLost: boolean): void {
    const first = this.#lanes[0]
    if (first !== undefined && first !== this.#own && isEmpty(first)) this.#lanes.shift()
    const lane = this.#lanes[0] ?? this.#own
    const { window } = lane
    if (window.outstanding > 0 && window.stalled) return
    if (window.stalled || !this.#isConnected) {
      if (window.outstanding > 0 || !this.#hasWork()) return
      for (const { events } of takeRefused(window, isWaiting)) refuse(events)
      this.#isConnected = true
      const step = resume(window, isWaiting)
      if (step.kind === 'close-epoch') {
        this.#closeEpoch(lane, closeReplyIsLost)
        return
      }
      for (const { events } of step.rejected) refuse(events)
      for (const batch of step.batches) this.#send(lane, batch)
    }
    this.#fill(lane)
  }

  #fill(lane: Lane): void {
    const { window } = lane
    while (mayAdd(window)) {
      const row = lane.rows.find(({ position }) => position > lane.taken)
      if (row !== undefined) {
        const batch = add(window, row.events, 0)
        if (batch.first !== row.first)
          this.#numberingProblems.push(`${batch.first} is sent and ${row.first} on disk`)
        batch.position = row.position
        batch.answered = true
        lane.taken = row.position
        this.#send(lane, batch)
        continue
      }
      this.#queue = this.#queue.filter(isWaiting)
      if (lane !== this.#own || this.#queue.length === 0) return
      this.#send(lane, add(window, this.#queue.splice(0, 3), 0))
    }
  }

  #send(lane: Lane, batch: Batch<ModelEvent>): void {
    const { window } = lane
    this.server.receive({
      epoch: window.epoch,
      first: batch.first,
      events: batch.events,
      withSource: window.needsSource,
      answered: (answer) => {
        this.#settle(lane, batch, answer)
      },
    })
    window.needsSource = false
    sent(window, batch)
  }

  #closeEpoch(lane: Lane, replyIsLost: boolean): void {
    const last = this.server.closeEpoch(lane.window.epoch)
    if (replyIsLost) return
    const epoch = `epoch-${++this.#epochs}`
    const { appended, rejected } = reopen(lane.window, last, epoch, isWaiting)
    for (const batch of appended) this.#confirm(batch)
    for (const { events } of rejected) refuse(events)
    // One transaction: what is in the stream goes, and the rest has new sequences under the new epoch.
    removeResolved(lane)
    let first = 1
    for (const row of lane.rows) {
      row.first = first
      first += row.events.length
    }
    lane.epoch = epoch
  }

  #settle(lane: Lane, batch: Batch<ModelEvent>, answer: Answer): void {
    settle(lane.window, batch, answer)
    if (answer.kind === 'appended') this.#confirm(batch)
  }

  #confirm(batch: Batch<ModelEvent>): void {
    if (!batch.answered) answerAll(batch.events, 'in-stream')
    batch.answered = true
  }

  #deliver(replies: number): void {
    for (const [request, answer] of this.server.takeReplies(replies)) request.answered(answer)
  }

  #disconnect(requestsLinger: boolean): void {
    this.#isConnected = false
    for (const request of this.server.disconnect(requestsLinger))
      request.answered({ kind: 'lost', reason: 'reset' })
  }

  /** Nothing was confirmed for too long: one transaction with everything, in order. */
  #spool(diskIsFull: boolean): void {
    const lane = this.#own
    const { window } = lane
    const backlog = lane.rows.filter(({ position }) => position > lane.taken)
    const kept = keepUnresolved(window, lane.appended + 1)
    if (kept.length > 0 && backlog.length > 0)
      this.#numberingProblems.push('something is on disk behind what is not')
    const rest: ModelEvent[][] = []
    this.#queue = this.#queue.filter(isWaiting)
    while (this.#queue.length > 0) rest.push(this.#queue.splice(0, 3))
    if (diskIsFull) {
      for (const batch of kept) unkeep(batch)
      refuse(rest.flat())
      return
    }
    // In the same transaction: what stays would not be next to what comes.
    removeResolved(lane)
    const last = backlog.at(-1)
    let first = last === undefined ? window.nextSequence : last.first + last.events.length
    for (const batch of kept) {
      lane.rows.push({ position: ++lane.appended, first: batch.first, events: batch.events })
      lane.taken = lane.appended
      answerAll(batch.events, 'in-spool')
      batch.answered = true
    }
    for (const events of rest) {
      lane.rows.push({ position: ++lane.appended, first, events })
      first += events.length
      answerAll(events, 'in-spool')
    }
    lane.epoch = window.epoch
  }

  /** kill -9, and the next process: it has the files, and nothing else. */
  #die(): void {
    this.deaths++
    // What is not in the file and was not answered: nobody will ever ask for it.
    for (const event of this.events) {
      if (event.outcome !== 'waiting') continue
      event.outcome = this.#queue.includes(event) ? 'not-stored' : 'unknown'
      event.orphaned = true
    }
    for (const event of this.events) if (event.outcome === 'unknown') event.orphaned = true
    this.#queue = []
    this.server.disconnect(true)
    this.#isConnected = false
    const orphans = this.#lanes.filter(({ rows }) => rows.length > 0)
    this.adoptions += orphans.length
    this.#lanes = orphans.map(({ rows, epoch, appended }) => ({
      window: openWindow(epoch, rows[0]?.first ?? 1),
      rows,
      epoch,
      appended,
      taken: (rows[0]?.position ?? 1) - 1,
    }))
    this.#lanes.push(this.#freshLane())
  }

  #giveUp(pick: number): void {
    const waiting = this.events.filter(isWaiting)
    const event = waiting[pick % Math.max(waiting.length, 1)]
    if (event === undefined) return
    // What has a sequence may still go to disk as it is.
    event.outcome = this.#queue.includes(event) ? 'not-stored' : 'unknown'
  }
}

function isEmpty(lane: Lane): boolean {
  const through = resolvedThrough(lane.window, lane.taken)
  return lane.rows.every(({ position }) => position <= through)
}

function removeResolved(lane: Lane): void {
  const through = resolvedThrough(lane.window, lane.taken)
  lane.rows = lane.rows.filter(({ position }) => position > through)
}

function answerAll(events: readonly ModelEvent[], outcome: 'in-spool' | 'in-stream'): void {
  for (const event of events) {
    if (event.outcome === 'in-spool' || event.outcome === 'in-stream') event.answers++
    if (event.outcome !== 'waiting') continue
    event.answers++
    event.outcome = outcome
  }
}

function refuse(events: readonly ModelEvent[]): void {
  for (const event of events) if (event.outcome === 'waiting') event.outcome = 'not-stored'
}

function isWaiting(event: ModelEvent): boolean {
  return event.outcome === 'waiting'
}
