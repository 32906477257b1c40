import { figure } from '../harness/figure.ts'
import type { Report } from '../harness/report.ts'

/** What is compared, and with whom: `throughput_vs_bullmq`. */
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

/** Who compares Millrace with what users could take instead; `resources` says it in its own notes. */
const COMPARING = 'peers'

/** Says where somebody else is better, and in what; nothing where nobody is. */
export function comparison(result: Report): string[] {
  if (result.benchmark !== COMPARING) return []
  const better = [...betterByRatio(result), ...betterBeside(result)]
  return better.length === 0 ? [] : [`Better than Millrace here: ${better.join(', ')}.`]
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
