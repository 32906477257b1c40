import { MillraceError } from '@millrace/runtime'
import type { Meter } from '@opentelemetry/api'
import type { AnyRegistry } from './prometheus.ts'

export interface RecordOptions {
  /** Shows the metrics in this registry of prom-client, beside whatever else is in it. @defaultValue none */
  readonly registry?: AnyRegistry
  /**
   * Gives the metrics to this meter of OpenTelemetry. Counters and gauges cost nothing until they are
   * collected; each value of a histogram costs about half a microsecond. @defaultValue none
   */
  readonly meter?: Meter
  /**
   * How many series one metric may have here; further ones are counted together, with `other` as their
   * labels. Too low: streams are told apart no longer. Too high: whoever names streams after users fills
   * Prometheus. @defaultValue 1_000
   */
  readonly maxSeries?: number
}

export interface ResolvedRecordOptions {
  readonly registry: AnyRegistry | undefined
  readonly meter: Meter | undefined
  readonly maxSeries: number
}

const defaults = Object.freeze({ maxSeries: 1_000 })

const CHECKS: Readonly<Record<keyof RecordOptions, (value: unknown) => boolean | string>> = {
  registry: (value) => has(value, 'registerMetric') || 'must be a Registry of prom-client',
  meter: (value) => has(value, 'createHistogram') || 'must be a Meter of OpenTelemetry',
  maxSeries: (value) =>
    (Number.isInteger(value) && (value as number) >= 1 && (value as number) <= 1_000_000) ||
    'must be a whole number from 1 to 1000000',
}

/** @throws MillraceError `OPTIONS_INVALID`, listing all problems */
export function resolveRecordOptions(options: RecordOptions): ResolvedRecordOptions {
  const problems = Object.entries(options).flatMap(([name, value]) => {
    if (!Object.hasOwn(CHECKS, name))
      return [`${name} is not an option (known: ${Object.keys(CHECKS).join(', ')})`]
    const verdict = value === undefined || CHECKS[name as keyof RecordOptions](value)
    return verdict === true ? [] : [`${name} ${String(verdict)}`]
  })
  if (options.registry === undefined && options.meter === undefined)
    problems.push('a registry or a meter is needed')
  if (problems.length > 0) {
    throw new MillraceError('OPTIONS_INVALID', `recordMetrics: ${problems.join('; ')}`, {
      issues: problems,
    })
  }
  const { registry, meter, maxSeries = defaults.maxSeries } = options
  return { registry, meter, maxSeries }
}

function has(value: unknown, method: string): boolean {
  return (
    typeof value === 'object' && value !== null && typeof Reflect.get(value, method) === 'function'
  )
}
