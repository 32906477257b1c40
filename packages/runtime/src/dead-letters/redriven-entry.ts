import type { Entry } from '../consumer/backlog.ts'

/** A redriven event on its way through a consumer: it has no place in the backlog. */
export interface RedrivenEntry<Data> extends Entry<Data> {
  /** Its id on the redrive stream; `id` is the one that the event had in its own stream. */
  readonly redriveId: string
  readonly lane: string
  /** Whether it waited already when the holder before died: it may be what killed it. */
  readonly suspect: boolean
}

export function isRedriven<Data>(entry: Entry<Data>): entry is RedrivenEntry<Data> {
  return 'redriveId' in entry
}

/**
 * Lanes of redriven events, apart from those of the stream: neither holds the other back. In order
 * `key` those of one key stay in the order of their redrive. Suspects go one by one.
 */
export function redriveLane(
  order: 'key' | 'stream',
  key: string | undefined,
  suspect: boolean,
): string {
  return order === 'stream' || suspect ? '\0redrive' : `\0redrive:${key ?? ''}`
}
