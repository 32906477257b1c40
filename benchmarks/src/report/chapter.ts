import type { Report } from '../harness/report.ts'
import { plotsOf } from './drawings/drawings.ts'
import type { Plot } from './plots/plot.ts'
import type { Results } from './results.ts'

/** A benchmark that there is, whether or not it has a result. */
export interface Subject {
  readonly name: string
  readonly summary: string
}

/** A benchmark on the page. */
export interface Chapter extends Subject {
  readonly result: Report
  readonly plots: readonly Plot[]
}

export interface Content {
  readonly results: Results
  readonly chapters: readonly Chapter[]
  readonly notMeasured: readonly Subject[]
}

/** What the pages show, in the order of the subjects. */
export function contentOf(subjects: readonly Subject[], results: Results): Content {
  const unknown = [...results.keys()].filter((name) => !subjects.some((one) => one.name === name))
  if (unknown.length > 0) throw new Error(`there is no benchmark ${unknown.join(', ')}`)
  return {
    results,
    chapters: subjects.flatMap((subject) => {
      const result = results.get(subject.name)
      return result === undefined ? [] : [{ ...subject, result, plots: plotsOf(result) }]
    }),
    notMeasured: subjects.filter(({ name }) => !results.has(name)),
  }
}
