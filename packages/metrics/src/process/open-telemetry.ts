import type { Attributes, Meter, ObservableResult } from '@opentelemetry/api'
import type { Declaration } from '../declarations/declaration.ts'
import {
  attributeOfLabel,
  attributes,
  instruments,
  operations,
  SYSTEM,
} from '../semantic-conventions.ts'
import type { Board } from './board.ts'

/**
 * Units as OpenTelemetry writes them; the others are annotations. A state is no `1`: that is for shares, and
 * translations to Prometheus add `_ratio` to its name.
 */
const UNITS: Readonly<Partial<Record<Declaration['unit'], string>>> = {
  seconds: 's',
  bytes: 'By',
  ratio: '1',
}

/** What instruments that several operations share say beside their labels. */
const OPERATION_OF: Readonly<Record<string, Attributes>> = {
  [instruments.sentMessages]: operation(operations.send),
  [instruments.operationDuration]: operation(operations.send),
  [instruments.consumedMessages]: operation(operations.process),
  [instruments.processDuration]: operation(operations.process),
}

/**
 * Gives metrics of the board to a meter; the answer ends that. Counters and gauges are read when they
 * are collected. Histograms have no such form in OpenTelemetry, so each value is recorded as it comes.
 */
export function giveToMeter(
  board: Board,
  declarations: readonly Declaration[],
  meter: Meter,
): () => void {
  const offs = declarations.map((declaration) =>
    declaration.type === 'histogram'
      ? record(board, declaration, meter)
      : observe(board, declaration, meter),
  )
  return () => {
    for (const off of offs) off()
  }
}

function observe(board: Board, declaration: Declaration, meter: Meter): () => void {
  const name = declaration.openTelemetry ?? declaration.name
  const options = { description: declaration.meaning, unit: unitOf(declaration) }
  const instrument =
    declaration.type === 'counter'
      ? meter.createObservableCounter(name, options)
      : meter.createObservableGauge(name, options)
  const attributesOf = attributesFor(declaration)
  const callback = async (result: ObservableResult): Promise<void> => {
    await board.refresh()
    for (const { labels, value } of board.values(declaration).all())
      result.observe(value, attributesOf(labels))
  }
  instrument.addCallback(callback)
  return () => {
    instrument.removeCallback(callback)
  }
}

function record(board: Board, declaration: Declaration, meter: Meter): () => void {
  const instrument = meter.createHistogram(declaration.openTelemetry ?? declaration.name, {
    description: declaration.meaning,
    unit: unitOf(declaration),
    advice: { explicitBucketBoundaries: [...(declaration.buckets ?? [])] },
  })
  const attributesOf = attributesFor(declaration)
  return board.echo(declaration, (value, labels) => {
    instrument.record(value, attributesOf(labels))
  })
}

function unitOf({ unit }: Declaration): string {
  return UNITS[unit] ?? `{${unit.replace(/ies$/, 'y').replace(/s$/, '')}}`
}

/** Turns labels into attributes, once for each set of labels. */
function attributesFor({
  openTelemetry = '',
}: Declaration): (labels: Readonly<Record<string, string>>) => Attributes {
  const known = new WeakMap<object, Attributes>()
  return (labels) => {
    let found = known.get(labels)
    if (found === undefined) {
      const named = Object.entries(labels).map(([label, value]) => [
        attributeOfLabel[label] ?? `millrace.${label}`,
        value,
      ])
      found = {
        [attributes.system]: SYSTEM,
        ...OPERATION_OF[openTelemetry],
        ...(Object.fromEntries(named) as Attributes),
      }
      known.set(labels, found)
    }
    return found
  }
}

function operation({ name, type }: { readonly name: string; readonly type: string }): Attributes {
  return { [attributes.operationName]: name, [attributes.operationType]: type }
}
