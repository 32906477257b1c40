import type { Criterion } from '../../harness/criterion.ts'
import { figure } from '../../harness/figure.ts'
import type { Report } from '../../harness/report.ts'
import type { Content } from '../chapter.ts'
import { promisesKept } from '../promises.ts'
import { isQuick } from '../results.ts'

/** A table, whichever way a page writes it. Backticks in a cell are names of the results. */
export interface Grid {
  readonly header: readonly string[]
  readonly rows: readonly (readonly string[])[]
}

export function promisesGrid({ results }: Content): Grid {
  return {
    header: ['promise', 'benchmark', 'criterion', 'measured', 'limit', 'verdict'],
    rows: promisesKept(results).flatMap(({ id, promise, found }) => {
      const what = `${id}: ${promise}`
      if (found.length === 0) return [[what, '', '', 'not measured yet', '', '']]
      return found.map(({ benchmark, criterion }, index) => [
        index === 0 ? what : '',
        benchmark,
        ...criterionCells(criterion),
      ])
    }),
  }
}

export function criteriaGrid({ criteria }: Report): Grid {
  return {
    header: ['criterion', 'measured', 'limit', 'verdict'],
    rows: criteria.map(criterionCells),
  }
}

function criterionCells({ id, measured, limit, unit, direction, pass }: Criterion): string[] {
  return [
    `\`${id}\``,
    `${shown(measured)} ${unit}`.trimEnd(),
    `${direction} ${figure(limit)}`,
    pass ? 'pass' : 'FAIL',
  ]
}

export function figuresGrid(what: string, figures: Readonly<Record<string, number>>): Grid {
  return {
    header: [what, 'figure'],
    rows: Object.entries(figures).map(([name, value]) => [`\`${name}\``, shown(value)]),
  }
}

export function originsGrid({ chapters }: Content): Grid {
  return {
    header: ['benchmark', 'commit', 'when', 'Node', 'server', 'machine', 'load before'],
    rows: chapters.map(({ name, result }) => {
      const { commit, date, node, redis, machine, cpus, memoryGiB, loadBefore } = result.environment
      return [
        isQuick(result) ? `${name} (short run)` : name,
        `\`${commit.replace(/^[0-9a-f]{40}/, (hash) => hash.slice(0, 10))}\``,
        date.slice(0, 16).replace('T', ' '),
        node,
        redis,
        `${machine}, ${cpus} CPUs, ${memoryGiB} GiB`,
        figure(loadBefore),
      ]
    }),
  }
}

/** How many of the criteria are met, as a sentence. */
export function verdict({ chapters }: Content): string {
  const criteria = chapters.flatMap(({ result }) => result.criteria)
  const failed = criteria.filter(({ pass }) => !pass)
  const sentence = `${criteria.length - failed.length} of ${criteria.length} criteria are met.`
  if (failed.length === 0) return sentence
  return `${sentence} Not met: ${failed.map(({ id }) => `\`${id}\``).join(', ')}.`
}

export function missing({ notMeasured }: Content): string | undefined {
  if (notMeasured.length === 0) return undefined
  return `Not measured yet: ${notMeasured.map(({ name }) => `\`${name}\``).join(', ')}.`
}

/** What a reader has to know before the tables. */
export const introduction: readonly string[] = [
  'Each benchmark runs its variants in fresh processes and by turns, with what they are compared with in the same run. What carries over to another machine are the ratios; milliseconds and events per second are those of the machine below.',
  'A figure is the median over the rounds. How each is measured stands at the top of the benchmark’s source, `benchmarks/src/<benchmark>/benchmark.ts` (of k6, in `benchmarks/k6/`).',
]

/** What short runs may not be taken for. */
export const quickWarning =
  'Some of these results are of short runs with loose bounds: they show that a benchmark works, not what Millrace reaches.'

/** Whether a note is a table made of spaces, and no sentence. */
export function isDrawn(note: string): boolean {
  return /^-+(?: +-+)+$/m.test(note)
}

function shown(value: number): string {
  return Number.isNaN(value) ? 'no figure' : figure(value)
}
