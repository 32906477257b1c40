import type { Declaration } from '../declarations/declaration.ts'

/** One value under one set of labels. */
export interface Series {
  readonly labels: Readonly<Record<string, string>>
  value: number
}

/** Where an example of a bucket's values can be seen: in the trace with this id. */
export interface Exemplar {
  readonly traceId: string
  readonly spanId: string
  readonly value: number
  /** In seconds since 1970. */
  readonly atSeconds: number
}

/** A value with the trace context of its event, taken apart only when somebody looks. */
interface Example {
  readonly traceparent: string
  readonly value: number
  readonly atMs: number
}

/** Takes each observed value as well; for instruments that cannot take many at once. */
export type Echo = (value: number, labels: Readonly<Record<string, string>>) => void

/**
 * Values counted by bucket. An observation costs some ten nanoseconds, where the usual libraries take
 * half a microsecond: a consumer that catches up observes several hundred thousand in a second.
 */
export class HistogramSeries {
  readonly labels: Readonly<Record<string, string>>
  readonly bounds: readonly number[]
  /** How many values lie in each bucket, and last those above all bounds; not cumulative. */
  readonly counts: number[]
  sum: number = 0
  /** By bucket. */
  readonly #examples = new Map<number, Example>()
  readonly #echoes: ReadonlySet<Echo>
  /** The bucket of the last value. */
  #last = 0

  constructor(
    labels: Readonly<Record<string, string>>,
    bounds: readonly number[],
    echoes: ReadonlySet<Echo>,
  ) {
    this.labels = labels
    this.bounds = bounds
    this.counts = Array.from({ length: bounds.length + 1 }, () => 0)
    this.#echoes = echoes
  }

  /** @param traceparent of the event, where it has one: sampled traces become exemplars */
  observe(value: number, traceparent?: string): void {
    const bucket = this.#bucketOf(value)
    this.counts[bucket] = (this.counts[bucket] ?? 0) + 1
    this.sum += value
    if (traceparent !== undefined && isSampled(traceparent))
      this.#examples.set(bucket, { traceparent, value, atMs: Date.now() })
    if (this.#echoes.size > 0) for (const echo of this.#echoes) echo(value, this.labels)
  }

  /** Observes how much later each moment of the second column is, in seconds, and 0 where it is earlier. */
  observeSpans(fromMs: ArrayLike<number>, toMs: ArrayLike<number>, count: number): void {
    const { bounds, counts } = this
    const hasEchoes = this.#echoes.size > 0
    let bucket = this.#last
    let low = bounds[bucket - 1] ?? Number.NEGATIVE_INFINITY
    let high = bounds[bucket] ?? Number.POSITIVE_INFINITY
    let inBucket = 0
    let sum = 0
    for (let at = 0; at < count; at++) {
      const ms = (toMs[at] ?? 0) - (fromMs[at] ?? 0)
      const value = ms > 0 ? ms / 1_000 : 0
      if (value <= low || value > high) {
        counts[bucket] = (counts[bucket] ?? 0) + inBucket
        inBucket = 0
        bucket = this.#bucketOf(value)
        low = bounds[bucket - 1] ?? Number.NEGATIVE_INFINITY
        high = bounds[bucket] ?? Number.POSITIVE_INFINITY
      }
      inBucket++
      sum += value
      if (hasEchoes) for (const echo of this.#echoes) echo(value, this.labels)
    }
    counts[bucket] = (counts[bucket] ?? 0) + inBucket
    this.sum += sum
  }

  /** The example of a bucket, if it has one. */
  exemplar(bucket: number): Exemplar | undefined {
    const example = this.#examples.get(bucket)
    if (example === undefined) return undefined
    const { traceparent, value, atMs } = example
    const [, traceId = '', spanId = ''] = traceparent.split('-')
    return { traceId, spanId, value, atSeconds: atMs / 1_000 }
  }

  get count(): number {
    let count = 0
    for (const one of this.counts) count += one
    return count
  }

  reset(): void {
    this.counts.fill(0)
    this.sum = 0
    this.#examples.clear()
  }

  #bucketOf(value: number): number {
    const { bounds } = this
    // The next value is mostly like the one before.
    let bucket = this.#last
    while (bucket > 0 && value <= (bounds[bucket - 1] ?? value)) bucket--
    while (bucket < bounds.length && value > (bounds[bucket] ?? value)) bucket++
    this.#last = bucket
    return bucket
  }
}

/** `00-<trace id>-<span id>-<flags>`; the last bit of the flags says that the trace is kept. */
function isSampled(traceparent: string): boolean {
  return (
    traceparent.length >= CONTEXT_LENGTH &&
    ODD_DIGITS.includes(traceparent.charAt(CONTEXT_LENGTH - 1))
  )
}

const CONTEXT_LENGTH = 55
const ODD_DIGITS = '13579bdf'

/** All series of one metric, by their labels. */
export class Metric<One extends { readonly labels: Readonly<Record<string, string>> }> {
  readonly declaration: Declaration
  readonly #make: (labels: Readonly<Record<string, string>>) => One
  readonly #most: number
  readonly #series = new Map<string, One>()

  constructor(
    declaration: Declaration,
    most: number,
    make: (labels: Readonly<Record<string, string>>) => One,
  ) {
    this.declaration = declaration
    this.#most = most
    this.#make = make
  }

  /** The series with these values of the labels, in the order in which they are declared. */
  at(...values: readonly string[]): One {
    const key = values.join('\0')
    const known = this.#series.get(key)
    if (known !== undefined) return known
    // One that has no bound on what it is named after must not take all memory.
    if (this.#series.size >= this.#most && values.some((value) => value !== OTHER))
      return this.at(...values.map(() => OTHER))
    const { labels } = this.declaration
    const made = this.#make(Object.fromEntries(labels.map((label, i) => [label, values[i] ?? ''])))
    this.#series.set(key, made)
    return made
  }

  all(): Iterable<One> {
    return this.#series.values()
  }

  /** Forgets all series, before what holds now is said anew. */
  clear(): void {
    this.#series.clear()
  }
}

/** What labels say once there are too many series. */
const OTHER = 'other'
