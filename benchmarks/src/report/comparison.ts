import { figure } from '../harness/figure.ts'
import type { Report } from '../harness/report.ts'

/** `throughput_vs_bullmq`, `cpu_vs_poll_12p_200eps`: what is compared, and with whom. */
const RATIO = /^(\w+?)_vs_(\w.*)$/

/** What a higher figure speaks for; of everything else, less is better. */
const MORE_IS_BETTER: ReadonlySet<string> = new Set(['throughput'])

/** Benchmarks whose ratios all compare Millrace with something that users could take instead. */
const advice: Readonly<Record<string, string>> = {
  peers: 'Where that is what matters most, take it.',
  resources:
    'Put consumers that do not need a process of their own into one, which is where sharing pays, or raise `latencyBudgetMs`, which gathers more events for each wake-up.',
}

/** Says where somebody else is better, and what to do there; nothing where nobody is. */
export function comparison({ benchmark, ratios }: Report): string[] {
  const what = advice[benchmark]
  if (what === undefined) return []
  const better = Object.entries(ratios).flatMap(([name, ratio]) => {
    const [, subject = '', other = ''] = RATIO.exec(name) ?? []
    if (subject === '' || Number.isNaN(ratio)) return []
    const isBetter = MORE_IS_BETTER.has(subject) ? ratio < 1 : ratio > 1
    return isBetter ? [`${words(other)} in ${words(subject)} (${figure(ratio)} ×)`] : []
  })
  return better.length === 0 ? [] : [`Better than Millrace here: ${better.join(', ')}. ${what}`]
}

function words(name: string): string {
  return name.replaceAll('_', ' ')
}
