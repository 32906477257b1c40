import type { Declaration } from './declaration.ts'

/** Metrics by the names that they have here. */
export type Declarations<Name extends string> = Readonly<Record<Name, Declaration>>

interface Words {
  readonly meaning: string
  readonly worry?: string
  readonly openTelemetry?: string
  /** For histograms of something else than time. */
  readonly unit?: Declaration['unit']
}

/** Something that only grows; `_total` is added to the name. */
export function counter<Label extends string>(
  name: string,
  unit: Declaration['unit'],
  labels: readonly Label[],
  words: Words,
): Declaration<Label> {
  return declare(`${name}_total`, 'counter', unit, labels, words)
}

/** Something that is so much just now. */
export function gauge<Label extends string>(
  name: string,
  unit: Declaration['unit'],
  labels: readonly Label[],
  words: Words,
): Declaration<Label> {
  return declare(name, 'gauge', unit, labels, words)
}

/** How something is spread, in seconds unless said otherwise. */
export function histogram<Label extends string>(
  name: string,
  labels: readonly Label[],
  buckets: readonly number[],
  words: Words,
): Declaration<Label> {
  return { ...declare(name, 'histogram', words.unit ?? 'seconds', labels, words), buckets }
}

function declare<Label extends string>(
  name: string,
  type: Declaration['type'],
  unit: Declaration['unit'],
  labels: readonly Label[],
  { meaning, worry = '', openTelemetry }: Words,
): Declaration<Label> {
  return {
    source: 'process',
    name: `millrace_${name}`,
    type,
    unit,
    labels,
    meaning,
    worry,
    // Everything is given to OpenTelemetry, under a name of its own where no convention has one.
    openTelemetry: openTelemetry ?? `millrace.${withoutUnit(name)}`,
  }
}

/** OpenTelemetry has units and types beside names. What bytes measure is then named as it does: the size of something. */
function withoutUnit(name: string): string {
  return name
    .replace(/_total$/, '')
    .replace(/_seconds$/, '')
    .replace(/_bytes$/, '_size')
}
