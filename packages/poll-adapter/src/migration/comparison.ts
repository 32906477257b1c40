import type { Change } from '../change/change.ts'
import { EMPTY_REPORT, type ShadowExample, type ShadowReport } from './shadow-report.ts'

/** The two ways by which a change comes. */
export type Side = 'poll' | 'stream'

export interface ComparisonOptions {
  /** How long a change waits for its other side; what comes later is late. */
  readonly windowMs: number
  /** Whether the source shows only the latest version of an item, so that changes may be overtaken. */
  readonly latestOnly: boolean
}

interface Sighting {
  readonly atMs: number
  /** The place among all that this side has seen. */
  readonly place: number
  readonly hash: string
}

interface Entry {
  readonly change: Change
  readonly firstMs: number
  poll?: Sighting
  stream?: Sighting
  /** How it was counted when its window was over. */
  judged: 'missing' | 'no' | 'superseded'
}

const MOST_EXAMPLES = 20
const MOST_LEADS = 10_000
/** So many windows long a change that came one way only is remembered, to tell late from never. */
const LATE_WINDOWS = 20
/** Beyond so many changes the oldest are judged before their time, so that memory is bounded. */
const MOST_ENTRIES = 200_000

type Counts = {
  -readonly [Name in keyof Omit<
    ShadowReport,
    'earlierMs' | 'examples' | 'hasBegun' | 'open'
  >]: number
}

/**
 * Compares what is polled with what the stream brings, change by change. Pure: time comes from the caller.
 */
export class Comparison {
  readonly #options: ComparisonOptions
  /** By change id, in the order in which they were first seen. */
  readonly #entries = new Map<string, Entry>()
  readonly #places = { poll: 0, stream: 0 }
  /** The last place of each item on each side, among changes that came both ways. */
  readonly #lastMatched = new Map<string, { poll: number; stream: number }>()
  /** The last place of each item on each side, among all. */
  readonly #lastSeen = { poll: new Map<string, number>(), stream: new Map<string, number>() }
  readonly #counts: Counts
  readonly #leads: number[] = []
  #leadsSeen = 0
  #hasBegun = false
  /** Of an earlier comparison, until this one has figures of its own. */
  readonly #earlierMs: ShadowReport['earlierMs']
  readonly #examples: ShadowExample[]

  constructor(options: ComparisonOptions, before: ShadowReport = EMPTY_REPORT) {
    this.#options = options
    const { earlierMs, examples, hasBegun: _, open: __, ...counts } = before
    this.#earlierMs = earlierMs
    this.#counts = { ...counts }
    this.#examples = [...examples]
  }

  /** From here on both sides are seen. */
  begin(): void {
    this.#hasBegun = true
  }

  /** A change came; a second time on the same side changes nothing. */
  saw(side: Side, change: Change, nowMs: number): void {
    let entry = this.#entries.get(change.id)
    if (entry === undefined) {
      entry = { change, firstMs: nowMs, judged: 'no' }
      this.#entries.set(change.id, entry)
    }
    if (entry[side] !== undefined) return
    this.#places[side] += 1
    entry[side] = { atMs: nowMs, place: this.#places[side], hash: change.hash }
    remember(this.#lastSeen[side], change.key, this.#places[side])
    const { poll, stream } = entry
    if (poll === undefined || stream === undefined) return
    this.#match(entry, poll, stream)
  }

  /** An event came that does not say what it is. */
  sawUnidentified(): void {
    this.#counts.unidentified += 1
  }

  /** Judges what has waited for a whole window. */
  sweep(nowMs: number): void {
    const { windowMs } = this.#options
    for (const [id, entry] of this.#entries) {
      const ageMs = nowMs - entry.firstMs
      const crowded = this.#entries.size > MOST_ENTRIES
      if (ageMs < windowMs && !crowded) return
      const isMatched = entry.poll !== undefined && entry.stream !== undefined
      if (entry.judged === 'no' && !isMatched) this.#judge(entry)
      if (isMatched || crowded || ageMs >= windowMs * LATE_WINDOWS) this.#entries.delete(id)
    }
  }

  report(): ShadowReport {
    let open = 0
    for (const { judged, poll, stream } of this.#entries.values()) {
      if (judged === 'no' && (poll === undefined || stream === undefined)) open += 1
    }
    const sorted = this.#leads.toSorted((a, b) => a - b)
    const at = (share: number): number =>
      Math.round(
        (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0) * 10,
      ) / 10
    return {
      ...this.#counts,
      hasBegun: this.#hasBegun,
      open,
      earlierMs: sorted.length === 0 ? this.#earlierMs : { p50: at(0.5), p99: at(0.99) },
      examples: [...this.#examples],
    }
  }

  #match(entry: Entry, poll: Sighting, stream: Sighting): void {
    const { change } = entry
    if (entry.judged !== 'no') {
      this.#takeBack(entry, poll.atMs > stream.atMs ? 'stream' : 'poll')
      this.#counts.late += 1
      this.#example('late', change)
    }
    this.#counts.matched += 1
    this.#lead(poll.atMs - stream.atMs)
    if (poll.hash !== stream.hash) {
      this.#counts.differing += 1
      this.#example('differing', change)
    }
    const last = this.#lastMatched.get(change.key)
    if (last !== undefined && poll.place > last.poll !== stream.place > last.stream) {
      this.#counts.outOfOrder += 1
      this.#example('out-of-order', change)
    }
    remember(this.#lastMatched, change.key, {
      poll: Math.max(poll.place, last?.poll ?? 0),
      stream: Math.max(stream.place, last?.stream ?? 0),
    })
  }

  #judge(entry: Entry): void {
    const { change } = entry
    const side: Side = entry.poll === undefined ? 'stream' : 'poll'
    if (this.#isSuperseded(entry, side)) {
      entry.judged = 'superseded'
      this.#counts.superseded += 1
      return
    }
    entry.judged = 'missing'
    this.#count(side, change, 1)
    this.#example(side === 'poll' ? 'only-poll' : 'only-stream', change)
  }

  /** It was counted as missing, and has come after all. */
  #takeBack(entry: Entry, side: Side): void {
    if (entry.judged === 'superseded') this.#counts.superseded -= 1
    else this.#count(side, entry.change, -1)
  }

  #count(side: Side, { deleted }: Change, by: 1 | -1): void {
    if (side === 'poll') {
      this.#counts.onlyPoll += by
      if (deleted) this.#counts.deletesOnlyPoll += by
    } else {
      this.#counts.onlyStream += by
      if (deleted) this.#counts.deletesOnlyStream += by
    }
  }

  /** Whether a later version of the item came on the side that has seen this one. */
  #isSuperseded(entry: Entry, side: Side): boolean {
    if (!this.#options.latestOnly) return false
    const last = this.#lastSeen[side].get(entry.change.key) ?? 0
    return last > (entry[side]?.place ?? 0)
  }

  /** The last ones count. */
  #lead(ms: number): void {
    this.#leads[this.#leadsSeen % MOST_LEADS] = ms
    this.#leadsSeen += 1
  }

  #example(what: ShadowExample['what'], change: Change): void {
    this.#examples.push({ what, change: change.id })
    if (this.#examples.length > MOST_EXAMPLES) this.#examples.shift()
  }
}

/** The items that changed last are at the end of the map; there may be more items than memory. */
function remember<Value>(map: Map<string, Value>, key: string, value: Value): void {
  map.delete(key)
  map.set(key, value)
  if (map.size <= MOST_ENTRIES) return
  const [oldest] = map.keys()
  if (oldest !== undefined) map.delete(oldest)
}
