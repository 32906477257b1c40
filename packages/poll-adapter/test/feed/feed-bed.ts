import type { EventStream, Millrace } from '@millrace/runtime'
import {
  createFeed,
  type CursorFeed,
  type FeedOptions,
  type PollRequest,
} from '@millrace/poll-adapter'
import type { Testbed } from '../open-millrace.ts'

export interface Reading {
  readonly n: number
  /** The old cursor, where it stands in the data. */
  readonly at?: number | string
}

/** A feed that closes with the test. */
export function openFeed<Item = Reading>(
  bed: Testbed,
  millrace: Millrace,
  stream: EventStream<Reading, Reading>,
  options: FeedOptions<Reading, Item> = {},
): CursorFeed<Reading, Item> {
  const feed = createFeed(millrace, stream, { latencyBudgetMs: 0, ...options })
  bed.onClose(() => feed.close())
  return feed
}

/** Appends with the bare command, so that ids can be chosen. */
export async function append(
  bed: Testbed,
  stream: { readonly name: string },
  events: readonly (Reading & { readonly id?: string })[],
): Promise<string[]> {
  const ids: string[] = []
  for (const { id = '*', ...data } of events)
    ids.push(String(await bed.redis.xadd(bed.key(stream), id, 'data', JSON.stringify(data))))
  return ids
}

/** Polls page by page as an old client does, handing back each cursor as it came, until nothing is left. */
export async function pollAll(
  feed: CursorFeed<Reading>,
  request: PollRequest = {},
  onPage: (items: readonly Reading[]) => void = () => undefined,
): Promise<{ readonly numbers: number[]; readonly cursor: number | string | null }> {
  const numbers: number[] = []
  let since: number | string | null = request.since ?? null
  for (;;) {
    const page = await feed.poll({ ...request, since })
    onPage(page.items)
    numbers.push(...page.items.map(({ n }) => n))
    since = throughJson(page.cursor)
    if (!page.hasMore) return { numbers, cursor: since }
  }
}

/** A cursor as it arrives at a client. */
export function throughJson(cursor: number | string | null): number | string | null {
  return JSON.parse(JSON.stringify(cursor)) as number | string | null
}

export function range(count: number, first = 0): number[] {
  return Array.from({ length: count }, (_, i) => first + i)
}
