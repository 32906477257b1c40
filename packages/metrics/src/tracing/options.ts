import { MillraceError } from '@millrace/runtime'
import type * as Api from '@opentelemetry/api'

/** What is used of the module `@opentelemetry/api`. */
export type OpenTelemetryApi = Pick<
  typeof Api,
  | 'context'
  | 'createContextKey'
  | 'createTraceState'
  | 'isSpanContextValid'
  | 'ROOT_CONTEXT'
  | 'SpanKind'
  | 'SpanStatusCode'
  | 'trace'
>

export interface TracingOptions {
  /** The module `@opentelemetry/api` that the application uses: `import * as api from '@opentelemetry/api'`. */
  readonly api: OpenTelemetryApi
  /** Where the tracer comes from. @defaultValue the one that is registered with the api */
  readonly tracerProvider?: Api.TracerProvider
}

/** @throws MillraceError `OPTIONS_INVALID`, listing all problems */
export function checkTracingOptions(options: TracingOptions): void {
  const known = ['api', 'tracerProvider']
  const problems = Object.keys(options)
    .filter((name) => !known.includes(name))
    .map((name) => `${name} is not an option (known: ${known.join(', ')})`)
  const api: unknown = options.api
  if (typeof api !== 'object' || api === null || !('trace' in api) || !('context' in api))
    problems.push('api must be the module @opentelemetry/api')
  const provider: unknown = options.tracerProvider
  if (
    provider !== undefined &&
    (typeof provider !== 'object' ||
      provider === null ||
      typeof Reflect.get(provider, 'getTracer') !== 'function')
  ) {
    problems.push('tracerProvider must be a TracerProvider')
  }
  if (problems.length === 0) return
  throw new MillraceError('OPTIONS_INVALID', `startTracing: ${problems.join('; ')}`, {
    issues: problems,
  })
}
