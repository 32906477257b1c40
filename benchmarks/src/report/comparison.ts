import { figure } from '../harness/figure.ts'
import type { Report } from '../harness/report.ts'

/** What is compared, and with whom: `throughput_vs_bullmq`, `cpu_vs_poll_12p_200eps`. */
const RATIO = /^(\w+?)_vs_(\w.*)$/

/** What a higher figure speaks for; of everything else, less is better. */
const MORE_IS_BETTER: ReadonlySet<string> = new Set(['throughput'])

/** What there are no ratios of: the figures of the others stand beside ours, under the same name. */
const besides: Readonly<Record<string, string>> = {
  p50Ms: 'p50',
  clientsMemoryMiB: 'memory of the clients',
  brokerMemoryMiB: 'memory of the broker',
  recoveredMs: 'time until events flow after the broker was killed',
  confirmedAndLost: 'confirmed events that were lost when the broker was killed',
}

/** Benchmarks that compare Millrace with what users could take instead, and what to do where that is better. */
const advice: Readonly<Record<string, string>> = {
  peers: 'Where that is what matters most, take it.',
  resources:
    'Put consumers that do not need a process of their own into one, which is where sharing pays, or raise `latencyBudgetMs`, which gathers more events for each wake-up.',
}

/** Says where somebody else is better, and what to do there; nothing where nobody is. */
export function comparison(result: Report): string[] {
  const what = advice[result.benchmark]
  if (what === undefined) return []
  const better = [...betterByRatio(result), ...betterBeside(result)]
  return better.length === 0 ? [] : [`Better than Millrace here: ${better.join(', ')}. ${what}`]
}

function betterByRatio({ ratios }: Report): string[] {
  return Object.entries(ratios).flatMap(([name, ratio]) => {
    const [, subject = '', other = ''] = RATIO.exec(name) ?? []
    const isBetter = MORE_IS_BETTER.has(subject) ? ratio < 1 : ratio > 1
    return subject !== '' && isBetter
      ? [`${words(other)} in ${words(subject)} (ours is ${figure(ratio)} × as much)`]
      : []
  })
}

function betterBeside({ values }: Report): string[] {
  return Object.entries(besides).flatMap(([name, what]) => {
    const ours = values[`millrace_${name}`]
    if (ours === undefined) return []
    return Object.entries(values)
      .filter(([other, theirs]) => other.endsWith(`_${name}`) && theirs < ours)
      .filter(([other]) => !other.startsWith('millrace'))
      .map(
        ([other, theirs]) =>
          `${words(other.slice(0, -name.length - 1))} in ${what} (${figure(theirs)} against ${figure(ours)})`,
      )
  })
}

function words(name: string): string {
  return name.replaceAll('_', ' ')
}
