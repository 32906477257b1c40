/** What a shadow has found: the stream beside what was polled. */
export interface ShadowReport {
  /** Whether the comparison has begun: it waits until the bridge has passed the poller's position. */
  readonly hasBegun: boolean
  /** Changes that came both ways. */
  readonly matched: number
  /** Changes that the stream has not brought within the window. */
  readonly onlyPoll: number
  /** Changes that polling has not brought within the window. */
  readonly onlyStream: number
  /** Of these, changes by which an item is gone: many old APIs cannot show them. */
  readonly deletesOnlyPoll: number
  readonly deletesOnlyStream: number
  /** Changes that came the other way after all, but later than the window. */
  readonly late: number
  /** Changes of one item that came in another order. */
  readonly outOfOrder: number
  /** The same change, with another value. */
  readonly differing: number
  /** Of a source that shows only the latest: changes that were overtaken before the other side looked. */
  readonly superseded: number
  /** Events without `h:change`: they cannot be compared. */
  readonly unidentified: number
  /** Changes that still wait for their other side. */
  readonly open: number
  /** By how much the stream was earlier, in milliseconds; negative where polling was. */
  readonly earlierMs: { readonly p50: number; readonly p99: number }
  /** A few of the changes that are not as they should be, the newest last. */
  readonly examples: readonly ShadowExample[]
}

export interface ShadowExample {
  readonly what: 'differing' | 'late' | 'only-poll' | 'only-stream' | 'out-of-order'
  readonly change: string
}

export const EMPTY_REPORT: ShadowReport = Object.freeze({
  hasBegun: false,
  matched: 0,
  onlyPoll: 0,
  onlyStream: 0,
  deletesOnlyPoll: 0,
  deletesOnlyStream: 0,
  late: 0,
  outOfOrder: 0,
  differing: 0,
  superseded: 0,
  unidentified: 0,
  open: 0,
  earlierMs: Object.freeze({ p50: 0, p99: 0 }),
  examples: Object.freeze([]),
})

export function parseReport(stored: string): ShadowReport {
  return stored === '' ? EMPTY_REPORT : { ...EMPTY_REPORT, ...(JSON.parse(stored) as ShadowReport) }
}
