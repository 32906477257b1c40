import { benchmarks } from '../benchmarks.ts'
import type { Subject } from './chapter.ts'

/** Guards against a change for the worse, in the shortest time; what it measures is measured better elsewhere. */
const REGRESSION_LANE = 'ci'

/** All that is reported: what `npm run bench` runs, and the load test over HTTP, which k6 runs. */
export const subjects: readonly Subject[] = [
  ...benchmarks
    .filter(({ name }) => name !== REGRESSION_LANE)
    .map(({ name, summary }) => ({ name, summary })),
  { name: 'k6', summary: 'long-polling and polling clients over HTTP, driven by k6' },
]
