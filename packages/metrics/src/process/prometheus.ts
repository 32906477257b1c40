import type { Metric as PrometheusMetric, Registry } from 'prom-client'
import type { Declaration } from '../declarations/declaration.ts'
import type { Board } from './board.ts'
import type { Exemplar, HistogramSeries } from './series.ts'

/** Registries of either format. */
export type AnyRegistry = Pick<
  Registry,
  'getSingleMetric' | 'registerMetric' | 'removeSingleMetric'
>

/** A value as registries write it out. */
interface ShownValue {
  readonly labels: Readonly<Record<string, number | string>>
  readonly value: number
  readonly metricName?: string
  readonly exemplar?: ShownExemplar
}

interface ShownExemplar {
  readonly labelSet: Readonly<Record<string, string>>
  readonly value: number
  readonly timestamp: number
}

/**
 * Shows metrics of the board in a registry; the answer takes them out again.
 * @throws Error when the registry has another metric of one of the names
 */
export function showInRegistry(
  board: Board,
  declarations: readonly Declaration[],
  registry: AnyRegistry,
): () => void {
  const shown: ShownMetric[] = []
  const remove = (): void => {
    for (const metric of shown) {
      if ((registry.getSingleMetric(metric.ownName) as unknown) === metric)
        registry.removeSingleMetric(metric.ownName)
    }
  }
  try {
    for (const declaration of declarations) {
      const metric = new ShownMetric(board, declaration)
      // A registry asks a metric for its name, its type and its values, whatever class it is of.
      registry.registerMetric(metric as unknown as PrometheusMetric)
      shown.push(metric)
    }
  } catch (error) {
    remove()
    throw error
  }
  return remove
}

/** One metric of the board, as a registry wants it. */
class ShownMetric {
  /** OpenMetrics registries take `_total` off the name, and put it back when they write. */
  name: string
  readonly ownName: string
  readonly help: string
  readonly type: Declaration['type']
  readonly aggregator: 'average' | 'max' | 'sum' = 'sum'
  readonly labelNames: readonly string[]
  readonly #board: Board
  readonly #declaration: Declaration

  constructor(board: Board, declaration: Declaration) {
    this.#board = board
    this.#declaration = declaration
    this.name = declaration.name
    this.ownName = declaration.name
    this.help = declaration.meaning
    this.type = declaration.type
    this.labelNames = declaration.labels
    // The oldest of several workers' events, and the worst of their clocks; all else adds up.
    if (declaration.type === 'gauge' && declaration.unit === 'seconds') this.aggregator = 'max'
  }

  async get(): Promise<{
    readonly name: string
    readonly help: string
    readonly type: string
    readonly aggregator: string
    readonly values: readonly ShownValue[]
  }> {
    await this.#board.refresh()
    const { name, help, type, aggregator } = this
    return { name, help, type, aggregator, values: [...this.#values()] }
  }

  reset(): void {
    if (this.type === 'histogram') {
      for (const series of this.#board.histogram(this.#declaration).all()) series.reset()
    } else {
      for (const series of this.#board.values(this.#declaration).all()) series.value = 0
    }
  }

  *#values(): Iterable<ShownValue> {
    if (this.type === 'histogram') {
      for (const series of this.#board.histogram(this.#declaration).all())
        yield* bucketsOf(this.ownName, series)
    } else yield* this.#board.values(this.#declaration).all()
  }
}

function* bucketsOf(name: string, series: HistogramSeries): Iterable<ShownValue> {
  const { labels, bounds, counts, sum } = series
  let count = 0
  for (const [i, inBucket] of counts.entries()) {
    count += inBucket
    const exemplar = series.exemplar(i)
    yield {
      metricName: `${name}_bucket`,
      labels: { le: bounds[i] ?? '+Inf', ...labels },
      value: count,
      ...(exemplar === undefined ? {} : { exemplar: shownExemplar(exemplar) }),
    }
  }
  yield { metricName: `${name}_sum`, labels, value: sum }
  yield { metricName: `${name}_count`, labels, value: count }
}

function shownExemplar({ traceId, spanId, value, atSeconds }: Exemplar): ShownExemplar {
  return { labelSet: { trace_id: traceId, span_id: spanId }, value, timestamp: atSeconds }
}
