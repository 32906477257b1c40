import { benchmarks } from '../benchmarks.ts'
import type { Subject } from './chapter.ts'

/** All that is reported: what `npm run bench` runs, and the load test over HTTP, which k6 runs. */
export const subjects: readonly Subject[] = [
  ...benchmarks.map(({ name, summary }) => ({ name, summary })),
  { name: 'k6', summary: 'long-polling and polling clients over HTTP, driven by k6' },
]
