import { backpressure } from './backpressure/benchmark.ts'
import { durability } from './durability/benchmark.ts'
import { fanout } from './fanout/benchmark.ts'
import type { Benchmark } from './harness/workbench.ts'
import { latency } from './latency/benchmark.ts'
import { longPolls } from './long-polls/benchmark.ts'
import { loss } from './loss/benchmark.ts'
import { metrics } from './metrics/benchmark.ts'
import { peers } from './peers/benchmark.ts'
import { poison } from './poison/benchmark.ts'
import { recovery } from './recovery/benchmark.ts'
import { resources } from './resources/benchmark.ts'
import { regression } from './regression/benchmark.ts'
import { retention } from './retention/benchmark.ts'
import { throughput } from './throughput/benchmark.ts'

/** All that `npm run bench` can run, in the order in which they are listed and reported. */
export const benchmarks: readonly Benchmark[] = [
  throughput,
  latency,
  fanout,
  loss,
  durability,
  longPolls,
  metrics,
  peers,
  recovery,
  resources,
  retention,
  backpressure,
  poison,
  regression,
]
