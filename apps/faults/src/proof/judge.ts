import type { Order, ReaderName } from '../cast/parts.ts'
import { keyOf, runOf } from '../load.ts'
import type { JournalEntry } from './journal.ts'

/** What is known of a piece of load when all is over. */
export interface Account {
  /** Events for which publish() had resolved; `atMs` is when. */
  readonly accepted: readonly JournalEntry[]
  readonly readers: readonly ReaderAccount[]
  /** The numbers of the events in the surviving stream, in its order. */
  readonly stored: readonly number[]
  readonly excuses: readonly Excuse[]
  /** Order holds over the processes of the producer, as it does with a spool that they share. */
  readonly inOrderOverRuns: boolean
}

export interface ReaderAccount {
  readonly reader: ReaderName
  readonly order: Order
  /** What its processes handled, each in the order in which it did. */
  readonly deliveries: readonly (readonly JournalEntry[])[]
  readonly deadLettered: ReadonlySet<number>
}

/**
 * An accepted event may be missing from the stream only where somebody took it out: the fault itself
 * (`removed`), or a failover to a server that never had it (`forgotten`).
 */
export interface Excuse {
  readonly why: 'forgotten' | 'removed'
  readonly fromMs: number
  readonly toMs: number
}

export interface Verdict {
  /** Accepted events. */
  readonly events: number
  /** Accepted events that are missing without an excuse, in the stream or at a reader. */
  readonly lost: number
  /** First deliveries that came after a later event of their lane. */
  readonly outOfOrder: number
  /** Deliveries beyond the first, over all readers. */
  readonly duplicates: number
  /** Events that the fault took out of the stream before every reader had them. */
  readonly removed: number
  /** Accepted events that Redis itself lost at a failover. */
  readonly forgotten: number
  /** Events that are in the stream more than once. */
  readonly storedTwice: number
  readonly deadLettered: number
  /** The first few lost events, for the person who has to find out why. */
  readonly missing: readonly Missing[]
}

interface Missing {
  readonly number: number
  readonly reader: ReaderName | 'stream'
  readonly acceptedAtMs: number
}

const MISSING_SHOWN = 5

/** Holds what was accepted against what is stored and what every reader handled. */
export function judge(account: Account): Verdict {
  const stored = new Set(account.stored)
  const books = account.readers.map((reader) => bookOf(reader, account.inOrderOverRuns))
  const lost = new Set<number>()
  const removed = new Set<number>()
  const forgotten = new Set<number>()
  const missing: Missing[] = []
  const lose = (event: JournalEntry, reader: Missing['reader']): void => {
    lost.add(event.number)
    if (missing.length < MISSING_SHOWN)
      missing.push({ number: event.number, reader, acceptedAtMs: event.atMs })
  }
  for (const event of account.accepted) {
    const lacking = books.filter((book) => !book.has(event.number))
    if (stored.has(event.number)) {
      for (const book of lacking) lose(event, book.reader)
      continue
    }
    const excuse = excuseFor(event, account.excuses)
    // What everybody had may be taken out at any later time.
    if (lacking.length === 0 && removedLater(event, account.excuses)) continue
    if (excuse === undefined) lose(event, lacking[0]?.reader ?? 'stream')
    else if (excuse.why === 'forgotten') forgotten.add(event.number)
    else if (lacking.length > 0) removed.add(event.number)
  }
  return {
    events: account.accepted.length,
    lost: lost.size,
    outOfOrder: sum(books.map((book) => book.outOfOrder)),
    duplicates: sum(books.map((book) => book.duplicates)),
    removed: removed.size,
    forgotten: forgotten.size,
    storedTwice: account.stored.length - stored.size,
    deadLettered: sum(account.readers.map(({ deadLettered }) => deadLettered.size)),
    missing,
  }
}

/** The same account, of the events only that were accepted between two times. */
export function narrowed(account: Account, fromMs: number, toMs: number): Account {
  const accepted = account.accepted.filter(({ atMs }) => atMs >= fromMs && atMs < toMs)
  const numbers = new Set(accepted.map(({ number }) => number))
  return {
    ...account,
    accepted,
    stored: account.stored.filter((number) => numbers.has(number)),
    readers: account.readers.map(({ deliveries, deadLettered, ...reader }) => ({
      ...reader,
      deliveries: deliveries.map((list) => list.filter(({ number }) => numbers.has(number))),
      deadLettered: new Set([...deadLettered].filter((number) => numbers.has(number))),
    })),
  }
}

interface Book {
  readonly reader: ReaderName
  readonly outOfOrder: number
  readonly duplicates: number
  has(number: number): boolean
}

function bookOf(
  { reader, order, deliveries, deadLettered }: ReaderAccount,
  inOrderOverRuns: boolean,
): Book {
  // Stable, so that what one process did within a microsecond keeps its order.
  const inTime = deliveries.flat().toSorted((one, other) => one.atMs - other.atMs)
  const first = new Set<number>()
  const greatest = new Map<string, number>()
  let outOfOrder = 0
  for (const { number } of inTime) {
    if (first.has(number)) continue
    first.add(number)
    if (order === 'none') continue
    const lane = laneOf(number, order, inOrderOverRuns)
    if (number < (greatest.get(lane) ?? -1)) outOfOrder += 1
    else greatest.set(lane, number)
  }
  return {
    reader,
    outOfOrder,
    duplicates: inTime.length - first.size,
    has: (number) => first.has(number) || deadLettered.has(number),
  }
}

function laneOf(number: number, order: 'key' | 'stream', inOrderOverRuns: boolean): string {
  const run = inOrderOverRuns ? 'all' : runOf(number)
  return order === 'key' ? `${run} ${keyOf(number)}` : `${run}`
}

/** It was under way or accepted while somebody was taking events out. */
export function excuseFor(event: JournalEntry, excuses: readonly Excuse[]): Excuse | undefined {
  return excuses.find(({ fromMs, toMs }) => event.atMs >= fromMs && event.publishedAtMs <= toMs)
}

function removedLater(event: JournalEntry, excuses: readonly Excuse[]): boolean {
  return excuses.some(({ why, toMs }) => why === 'removed' && event.publishedAtMs <= toMs)
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}
