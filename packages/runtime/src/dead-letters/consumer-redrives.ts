import type { Grant } from '../consumer/acquire-script.ts'
import type { RedriveOwner } from '../consumer/hand-out.ts'
import type { StartVerdict } from '../consumer/quarantine.ts'
import { deadLettersFull } from '../consumer/move-entry.ts'
import type { TenureEnd, TenureScope } from '../consumer/tenure-scope.ts'
import type { DeadLetterReason } from '../delivery/dead-letter-fields.ts'
import { channels } from '../diagnostics.ts'
import { messageOf } from '../errors.ts'
import { isClaimed } from '../blob/downloads.ts'
import type { Decoded } from '../stream/event.ts'
import { compareIds } from '../stream/stream-id.ts'
import {
  type Holder,
  lastRedrive,
  returnRedrive,
  settleRedrives,
  storeRedriveAttempts,
  type WaitingRedrive,
  waitingRedrives,
} from './consumer-scripts.ts'
import { eventEntry } from './dead-letter.ts'
import { type RedrivenEntry, redriveLane } from './redriven-entry.ts'

/** What the tenure does for its redriven events. */
export interface ConsumerRedrivesPorts<Data> {
  /** These are to be handed out. */
  add(entries: readonly RedrivenEntry<Data>[]): void
  /** Ends the tenure; what is not settled will be taken again. */
  end(end: TenureEnd): void
}

const TAKEN_OVER: TenureEnd = { why: 'lost', detail: 'another holder took over' }

/** How many redriven events are taken at once. */
const PAGE = 16
/** More are taken when no more than so many are left. */
const FEW = 8
/** How many are settled by one script. */
const MOST_SETTLED = 128

/**
 * The redriven events of one tenure. They are taken in small pages, handled through the hand-out beside
 * the events of the stream, and removed from the redrive stream once they are processed: until then
 * another holder would take them again. They move neither the watermark nor the position.
 */
export class ConsumerRedrives<Data> implements RedriveOwner<Data> {
  readonly #scope: TenureScope<Data>
  readonly #holder: Holder
  readonly #incarnation: string
  /** Whether the holder before died. */
  readonly #unclean: boolean
  readonly #ports: ConsumerRedrivesPorts<Data>
  /** Those that were taken and are still on the redrive stream, by their ids there. */
  readonly #taken = new Map<string, RedrivenEntry<Data>>()
  #settled: RedrivenEntry<Data>[] = []
  #settling: Promise<void> | undefined
  /** The last attempts that were stored without anybody waiting for it. */
  #storing: Promise<unknown> = Promise.resolve()
  #taking = false
  #closed = false
  /** Whether the last page was full, so that more may wait. */
  #more = false
  /** After an unclean takeover: the last event that had been waiting, once that was looked up. */
  #suspectsUpTo: string | undefined

  constructor(scope: TenureScope<Data>, grant: Grant, ports: ConsumerRedrivesPorts<Data>) {
    this.#scope = scope
    this.#holder = { name: scope.options.name, token: grant.fence.token }
    this.#incarnation = grant.incarnation
    this.#unclean = grant.unclean
    this.#ports = ports
  }

  /** How many redriven events were taken and are not settled. */
  get size(): number {
    return this.#taken.size
  }

  /** The pulse has told how many redriven events there are. */
  notice(waiting: number): void {
    if (waiting > this.#taken.size) void this.#take()
  }

  /** What was not started is taken again later. */
  forgetQueued(): void {
    for (const [id, { phase }] of this.#taken) if (phase === 'queued') this.#taken.delete(id)
  }

  /** Takes no more; resolves when Redis has heard of everything that is processed. */
  async drained(): Promise<void> {
    this.#closed = true
    await Promise.all([this.#storing, this.#settling])
  }

  close(): void {
    this.#closed = true
  }

  /** Records the start of a suspect before its handler runs, so that one that kills the process is found. */
  recordStart(entry: RedrivenEntry<Data>): Promise<StartVerdict> | undefined {
    if (!entry.suspect) return undefined
    if (entry.attempts >= this.#scope.options.maxAttempts) return Promise.resolve('dead-letter')
    entry.attempts++
    entry.counted = true
    return this.#store(entry)
  }

  attemptFailed(entry: RedrivenEntry<Data>): void {
    this.#storing = this.#store(entry)
  }

  /** Its handler was told to give up for no fault of the event: a recorded start does not count. */
  givenUp(entry: RedrivenEntry<Data>): void {
    if (!entry.counted) return
    entry.counted = false
    entry.attempts--
    this.#storing = this.#store(entry)
  }

  completed(entry: RedrivenEntry<Data>): void {
    entry.phase = 'done'
    entry.decoded = undefined
    if (!this.#taken.has(entry.redriveId)) return
    this.#settled.push(entry)
    this.#settling ??= this.#settle()
  }

  /** Puts it back to the dead letters; answers whether it counts as completed now. */
  async moveToDeadLetters(
    entry: RedrivenEntry<Data>,
    reason: DeadLetterReason,
    error: string,
  ): Promise<boolean> {
    const { core, keys, options, streamName: stream } = this.#scope
    const holder = this.#holder
    const { attempts, redriveId: id } = entry
    const { name, maxDeadLetters: cap } = options
    const request = { id, reason, attempts, error, cap }
    // What is stored later than this must not be attempts of before.
    await this.#storing
    try {
      const outcome = await core.connections.call('data', keys.tag, (session) =>
        returnRedrive(session, keys, holder, request),
      )
      if (outcome === 'lost') this.#ports.end(TAKEN_OVER)
      else if (outcome === 'full') this.#ports.end(deadLettersFull({ stream, name, cap }))
      else this.#taken.delete(id)
      if (outcome === 'ok') {
        const facts = { stream, name, id: entry.id, reason, attempts, error }
        channels.deadLettered.publish({ ...facts, redriven: true })
      }
      return outcome !== 'lost' && outcome !== 'full'
    } catch (failure) {
      this.#ports.end(resync(failure))
      return false
    }
  }

  async #take(): Promise<void> {
    if (this.#taking || this.#closed) return
    this.#taking = true
    try {
      do {
        if (!(await this.#takePage())) break
      } while (this.#more && this.#taken.size <= FEW)
    } catch (failure) {
      if (!this.#closed) this.#ports.end(resync(failure))
    } finally {
      this.#taking = false
    }
  }

  /** Answers whether anything came that was not known. */
  async #takePage(): Promise<boolean> {
    const { core, keys } = this.#scope
    const { name } = this.#holder
    if (this.#taken.size > FEW) return false
    if (this.#unclean && this.#suspectsUpTo === undefined) {
      this.#suspectsUpTo =
        (await core.connections.call('data', keys.tag, (session) =>
          lastRedrive(session, keys, name),
        )) ?? ''
    }
    const count = this.#taken.size + PAGE
    const page = await core.connections.call('data', keys.tag, (session) =>
      waitingRedrives(session, keys, name, count),
    )
    this.#more = page.length === count
    const entries = await Promise.all(
      page.filter(({ entry: [id] }) => !this.#taken.has(id)).map((found) => this.#entryOf(found)),
    )
    if (this.#closed) return false
    for (const entry of entries) this.#taken.set(entry.redriveId, entry)
    if (entries.length > 0) this.#ports.add(entries)
    return entries.length > 0
  }

  async #entryOf({ entry: stored, attempts }: WaitingRedrive): Promise<RedrivenEntry<Data>> {
    const { binary, core, decode, options } = this.#scope
    const [redriveId] = stored
    const event = eventEntry(stored, binary)
    const decoded = await decode(event, this.#incarnation)
    const suspect = this.#unclean && compareIds(redriveId, this.#suspectsUpTo || '0-0') <= 0
    return {
      id: event[0],
      bytes: decoded.bytes,
      receivedMs: core.clock.monotonicMs(),
      decoded,
      phase: 'queued',
      attempts,
      counted: false,
      heldSinceMs: 0,
      after: undefined,
      afterInLane: undefined,
      redriveId,
      lane: redriveLane(options.order, keyOf(decoded), suspect),
      suspect,
    }
  }

  async #store(entry: RedrivenEntry<Data>): Promise<'run' | 'wait'> {
    const { core, keys } = this.#scope
    const holder = this.#holder
    const { attempts, redriveId } = entry
    try {
      const ours = await core.connections.call('control', keys.tag, (session) =>
        storeRedriveAttempts(session, keys, holder, redriveId, attempts),
      )
      if (ours) return 'run'
      this.#ports.end(TAKEN_OVER)
    } catch (failure) {
      this.#ports.end(resync(failure))
    }
    return 'wait'
  }

  async #settle(): Promise<void> {
    const { core, keys } = this.#scope
    const holder = this.#holder
    // What is done in the same turn of the event loop travels together.
    await Promise.resolve()
    try {
      while (this.#settled.length > 0) {
        const batch = this.#settled.splice(0, MOST_SETTLED)
        const ids = batch.map(({ redriveId }) => redriveId)
        const ours = await core.connections.call('data', keys.tag, (session) =>
          settleRedrives(session, keys, holder, ids),
        )
        if (!ours) {
          this.#ports.end(TAKEN_OVER)
          return
        }
        for (const id of ids) this.#taken.delete(id)
      }
    } catch (failure) {
      this.#ports.end(resync(failure))
    } finally {
      this.#settling = undefined
    }
    if (this.#more && this.#taken.size <= FEW) void this.#take()
  }
}

function keyOf(decoded: Decoded<unknown>): string | undefined {
  if (isClaimed(decoded)) return decoded.key
  return decoded.ok ? decoded.event.key : undefined
}

function resync(failure: unknown): TenureEnd {
  return { why: 'resync', detail: messageOf(failure) }
}
