import type { Criterion } from '../harness/criterion.ts'
import type { Results } from './results.ts'

/** What Millrace promises, by the beginning of the criteria's names. */
const promises: Readonly<Record<string, string>> = {
  sc_001: 'An event reaches its handlers within 500 ms.',
  sc_002: 'More consumers on a stream do not slow its producers down.',
  sc_003: 'No accepted event is lost.',
  sc_004: 'Whoever dies, within 10 s events flow again.',
  sc_005: 'It takes half of what polling takes, where consumers share processes.',
  sc_006: 'Events are handled within 100 ms of their receipt.',
  fr_001: 'Consumers are handed events within 500 ms, without asking.',
  fr_003: 'Within a stream, events come in the order of their publication.',
  fr_004: 'Many consumers read one stream, each at its own pace.',
}

/** A criterion, and the benchmark that found it. */
interface Found {
  readonly benchmark: string
  readonly criterion: Criterion
}

export interface Kept {
  /** As in `SC-001`. */
  readonly id: string
  readonly promise: string
  /** Empty while nothing has measured it. */
  readonly found: readonly Found[]
}

/** Each promise with everything that the results say about it; requirements only where they say something. */
export function promisesKept(results: Results): Kept[] {
  const all = [...results.values()].flatMap(({ benchmark, criteria }) =>
    criteria.map((criterion) => ({ benchmark, criterion })),
  )
  return Object.entries(promises)
    .map(([prefix, promise]) => ({
      id: prefix.toUpperCase().replace('_', '-'),
      promise,
      found: all.filter(({ criterion }) => criterion.id.startsWith(`${prefix}_`)),
    }))
    .filter(({ id, found }) => id.startsWith('SC-') || found.length > 0)
}
