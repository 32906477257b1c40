import { type FleetMetric, fleetMetrics } from '../declarations/fleet.ts'

/** The content type of Prometheus' text format. */
export const TEXT_FORMAT = 'text/plain; version=0.0.4; charset=utf-8'

/**
 * Writes Prometheus' text format. A fleet has some hundred thousand series, all new at each scrape, so they
 * are written as they come instead of being kept in a registry.
 */
export class Exposition {
  readonly #families = new Map<FleetMetric, { readonly name: string; readonly lines: string[] }>()

  /** @param labels as {@link labelsOf} wrote them, in the order in which the metric declares them */
  add(metric: FleetMetric, labels: string, value: number): void {
    let family = this.#families.get(metric)
    if (family === undefined) {
      family = { name: fleetMetrics[metric].name, lines: [] }
      this.#families.set(metric, family)
    }
    family.lines.push(
      labels === '' ? `${family.name} ${value}` : `${family.name}{${labels}} ${value}`,
    )
  }

  /** Undefined means not known: then there is no sample. */
  addKnown(metric: FleetMetric, labels: string, value: number | undefined): void {
    if (value !== undefined) this.add(metric, labels, value)
  }

  toString(): string {
    const parts: string[] = []
    for (const [metric, { name, lines }] of this.#families) {
      const { type, meaning } = fleetMetrics[metric]
      const help = meaning.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')
      parts.push(`# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`, lines.join('\n'), '\n')
    }
    return parts.join('')
  }
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
