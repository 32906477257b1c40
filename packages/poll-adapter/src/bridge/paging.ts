import type { Change } from '../change/change.ts'
import type { Cursor, CursorClass } from '../change/cursor.ts'
import { type Page, type Source, goneChange } from '../change/source.ts'
import type { SourcePosition } from '../change/position.ts'
import { messageOf, PollAdapterError } from '../errors.ts'
import { isReturn, type LastOfItem, returnedError, returnedWithinOverlap } from './returned.ts'

/** A change that a page brought, with the item; there is none of one that a snapshot has lost. */
export interface Found<Item> {
  readonly change: Change
  readonly item: Item | undefined
}

/** What of a page is new, and where to go on. */
export interface Read<Item> {
  readonly news: readonly Found<Item>[]
  /** The end of the page. */
  readonly end: Cursor | undefined
  /** Whether to fetch again at once, from the end of the page. */
  readonly more: boolean
}

export interface FetchOptions {
  readonly signal: AbortSignal
  readonly limit: number
  readonly timeoutMs: number
  readonly maxDeletedShare: number
  /**
   * Of a source without versions: what becomes of an item that looks again as it did before another change, within one
   * page of opaque cursors or under one cursor of an overlap. It has the id of an earlier change, so nobody who goes by
   * ids can tell.
   */
  readonly returned: 'refuse' | 'take'
}

/** Below so many items a snapshot may lose all of them. */
const FEW_ITEMS = 10

/**
 * Fetches one page and tells what of it is new to the position.
 * @throws PollAdapterError `SOURCE_FAILED`
 */
export async function readPage<Item>(
  source: Source<Item>,
  position: SourcePosition,
  from: Cursor | undefined,
  options: FetchOptions,
): Promise<Read<Item>> {
  const page = await fetchPage(source, from, options)
  position.beginPage()
  if (page.notModified === true) return { news: [], end: page.cursor, more: false }
  const news: Found<Item>[] = []
  const seen = new Set<string>()
  const lastOf = new Map<string, LastOfItem>()
  const newest = new Map<string, Change>()
  let reached = from
  for (const item of page.items) {
    const change = source.changeOf(item)
    reached = furthest(source.cursors, reached, change.cursor)
    const identity = source.cursors.kind === 'snapshot' ? change.key : change.id
    const isSame = lastOf.get(change.key)?.change.id === change.id
    const isAgain = seen.has(identity) && !isSame
    if (!isSame) lastOf.set(change.key, { change, isAgain })
    if (seen.has(identity)) {
      if (isSame || !isReturn(source.cursors, change)) continue
      if (options.returned === 'refuse') throw returnedError(change)
      news.push({ change, item })
      continue
    }
    seen.add(identity)
    if (position.knows(change)) position.meet(change)
    else {
      news.push({ change, item })
      newest.set(change.key, change)
    }
  }
  if (source.cursors.kind === 'exact') assertRising(source.cursors, news)
  if (source.cursors.kind === 'snapshot') {
    news.push(...goneFrom(position, seen, options.maxDeletedShare))
    return { news, end: page.cursor, more: false }
  }
  if (source.cursors.kind === 'border') {
    const advanced = page.cursor !== undefined && page.cursor !== from
    return { news, end: page.cursor, more: advanced && (page.hasMore ?? news.length > 0) }
  }
  const end = continuation(source, page, from, reached, options.limit)
  const advanced = end !== undefined && end !== from
  // What is read again may fill pages with nothing but known changes.
  const mayHaveMore =
    news.length > 0 ||
    page.items.length >= options.limit ||
    isBefore(source.cursors, furthest(source.cursors, end, reached), position.cursor)
  const more = page.hasMore ?? (mayHaveMore && advanced)
  if (more && !advanced) {
    throw new PollAdapterError(
      'SOURCE_FAILED',
      `The source says that there is more after ${String(from)}, but its cursor does not move`,
    )
  }
  const isWhole = !more && from === position.from
  if (isWhole) {
    for (const change of returnedWithinOverlap(
      source.cursors,
      position,
      lastOf.values(),
      newest,
      seen,
    )) {
      if (options.returned === 'refuse') throw returnedError(change)
      const item = page.items.findLast((one) => source.changeOf(one).id === change.id)
      news.push({ change, item })
    }
  }
  return { news, end, more }
}

/**
 * Where the next page begins. What follows a page that was cut off may be as old as its last item, and a source
 * that answers only what is newer would leave it out, also where it names that cursor itself: so the last cursor
 * but one is asked from again. A page may be cut off below the limit, too, by a limit of the source's own.
 */
function continuation<Item>(
  { cursors, changeOf }: Source<Item>,
  { items, cursor: named, hasMore }: Page<Item>,
  from: Cursor | undefined,
  reached: Cursor | undefined,
  limit: number,
): Cursor | undefined {
  if (cursors.kind !== 'overlap' || reached === undefined || items.length === 0) {
    return named ?? reached
  }
  // A source that names another place than that of its last item knows how to go on from there.
  if (named !== undefined && cursors.compare(named, reached) !== 0) return named
  if (hasMore === false) return reached
  let before: Cursor | undefined
  for (const item of items) {
    const { cursor } = changeOf(item)
    if (cursor !== undefined && cursors.compare(cursor, reached) < 0) {
      before = furthest(cursors, before, cursor)
    }
  }
  if (before !== undefined) {
    // A source that answers what is as old as asked, too, has nothing to leave out.
    const isInclusive = from !== undefined && cursors.compare(before, from) <= 0
    return isInclusive ? reached : before
  }
  const isCut = hasMore ?? items.length >= limit
  if (!isCut) return reached
  throw new PollAdapterError(
    'SOURCE_FAILED',
    `A whole page of ${items.length} items has the cursor ${String(reached)}; raise pageSize above the most items of one cursor`,
  )
}

async function fetchPage<Item>(
  source: Source<Item>,
  from: Cursor | undefined,
  { signal, limit, timeoutMs }: FetchOptions,
): Promise<Page<Item>> {
  const either = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)])
  const { promise: over, reject } = Promise.withResolvers<never>()
  const onOver = (): void => {
    reject(new Error(signal.aborted ? 'it was aborted' : `no answer within ${timeoutMs} ms`))
  }
  either.addEventListener('abort', onOver, { once: true })
  let page: Page<Item>
  try {
    page = await Promise.race([(async () => source.fetch(from, { signal: either, limit }))(), over])
  } catch (error) {
    throw new PollAdapterError('SOURCE_FAILED', `The source failed: ${messageOf(error)}`, {
      cause: error,
    })
  } finally {
    either.removeEventListener('abort', onOver)
    over.catch(() => undefined)
  }
  if (typeof page === 'object' && page !== null && Array.isArray(page.items)) return page
  throw new PollAdapterError('SOURCE_FAILED', 'The source answered something without items')
}

/** Of a snapshot: what it does not have any more. */
function goneFrom(
  position: SourcePosition,
  seen: ReadonlySet<string>,
  maxDeletedShare: number,
): Found<never>[] {
  const gone = position.missing(seen)
  const before = position.known.size
  if (before >= FEW_ITEMS && gone.length > before * maxDeletedShare) {
    throw new PollAdapterError(
      'SOURCE_FAILED',
      `${gone.length} of ${before} items are gone at once, more than maxDeletedShare allows`,
    )
  }
  return gone.map((key) => ({ change: goneChange(key), item: undefined }))
}

function assertRising<Item>(
  cursors: Extract<CursorClass, { kind: 'exact' }>,
  news: readonly Found<Item>[],
): void {
  for (let i = 1; i < news.length; i++) {
    const [before, here] = [news[i - 1]?.change.cursor, news[i]?.change.cursor]
    if (before === undefined || here === undefined || cursors.compare(before, here) < 0) continue
    throw new PollAdapterError(
      'SOURCE_FAILED',
      `The source’s cursors do not rise: ${String(here)} comes after ${String(before)}. If that is how it is, its cursors are of the class overlap`,
    )
  }
}

function isBefore(cursors: CursorClass, a: Cursor | undefined, b: Cursor | undefined): boolean {
  if (a === undefined || b === undefined || !('compare' in cursors)) return false
  return cursors.compare(a, b) < 0
}

function furthest(
  cursors: CursorClass,
  a: Cursor | undefined,
  b: Cursor | undefined,
): Cursor | undefined {
  if (a === undefined || b === undefined || !('compare' in cursors)) return b ?? a
  return cursors.compare(a, b) >= 0 ? a : b
}
