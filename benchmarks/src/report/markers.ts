import { figure } from '../harness/figure.ts'
import type { Results } from './results.ts'

/** What stands in a page while the benchmark has no result. */
export const NOT_MEASURED = 'not measured yet'

/**
 * `<!-- figure:latency.ratios.p50_vs_floor -->0.43<!-- /figure -->`: where the figure comes from, and the figure.
 * After the name may stand how it is shown: `as percent` for a share.
 */
const MARKER = /<!-- figure:(\S+)(?: as (\w+))? -->([^<]*)<!-- \/figure -->/g

/** The page with each figure as it is in the results. */
export function fillMarkers(page: string, results: Results): string {
  return page.replaceAll(MARKER, (marker, source: string, form: string | undefined) => {
    const opening = marker.slice(0, marker.indexOf('-->') + 3)
    return `${opening}${textOf(source, form, results)}<!-- /figure -->`
  })
}

/** The page without its figures that have markers. */
export function withoutMarkers(page: string): string {
  return page.replaceAll(MARKER, '')
}

function textOf(source: string, form: string | undefined, results: Results): string {
  const value = valueOf(source, results)
  if (value === undefined) return NOT_MEASURED
  switch (form) {
    case undefined:
      return figure(value)
    case 'percent':
      return `${figure(value * 100)} %`
    default:
      throw new Error(`the marker of ${source}: there is no form ${form}`)
  }
}

/** @throws when there is a result and it has no such figure: it is misspelt, or was renamed */
function valueOf(source: string, results: Results): number | undefined {
  const [, benchmark = '', section, name = ''] =
    /^([^.]+)\.(criteria|ratios|values)\.(.+)$/.exec(source) ?? []
  if (section === undefined)
    throw new Error(`the marker ${source} is not <benchmark>.<criteria|ratios|values>.<name>`)
  const result = results.get(benchmark)
  if (result === undefined) return undefined
  const value =
    section === 'criteria'
      ? result.criteria.find(({ id }) => id === name)?.measured
      : result[section === 'ratios' ? 'ratios' : 'values'][name]
  if (value === undefined) throw new Error(`the result of ${benchmark} has no ${section}.${name}`)
  return value
}
