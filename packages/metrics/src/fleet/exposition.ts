import { type FleetMetric, fleetMetrics } from '../declarations/fleet.ts'

/** The content type of Prometheus' text format. */
export const TEXT_FORMAT = 'text/plain; version=0.0.4; charset=utf-8'

/** The samples of one metric: labels and values side by side, so that a sample is no object. */
interface Family {
  readonly labels: string[]
  readonly values: number[]
}

/**
 * Writes Prometheus' text format. A fleet has some hundred thousand series, all new at each scrape, so they
 * are written as they come instead of being kept in a registry.
 */
export class Exposition {
  readonly #families = new Map<FleetMetric, Family>()

  /** @param labels as {@link labelsOf} wrote them, in the order in which the metric declares them */
  add(metric: FleetMetric, labels: string, value: number): void {
    let family = this.#families.get(metric)
    if (family === undefined) this.#families.set(metric, (family = { labels: [], values: [] }))
    family.labels.push(labels)
    family.values.push(value)
  }

  /** Undefined means not known: then there is no sample. */
  addKnown(metric: FleetMetric, labels: string, value: number | undefined): void {
    if (value !== undefined) this.add(metric, labels, value)
  }

  toString(): string {
    const parts: string[] = []
    for (const [metric, family] of this.#families) {
      const { name, type, meaning } = fleetMetrics[metric]
      const help = meaning.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')
      parts.push(`# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`, samplesOf(name, family))
    }
    return parts.join('')
  }
}

/** One text that grows costs half of what lines in a list that are joined do. */
function samplesOf(name: string, { labels, values }: Family): string {
  let text = ''
  for (let index = 0; index < labels.length; index++) {
    const own = labels[index] ?? ''
    text += own === '' ? `${name} ${values[index]}\n` : `${name}{${own}} ${values[index]}\n`
  }
  return text
}

/** The labels of a sample, without the braces. */
export function labelsOf(labels: Readonly<Record<string, string>>): string {
  const texts: string[] = []
  for (const name in labels) texts.push(`${name}="${escaped(labels[name] ?? '')}"`)
  return texts.join(',')
}

function escaped(text: string): string {
  return /[\\"\n]/.test(text)
    ? text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
    : text
}
