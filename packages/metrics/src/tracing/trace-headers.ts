import type { SpanContext } from '@opentelemetry/api'
import type { OpenTelemetryApi } from './options.ts'

/** The headers of W3C Trace Context, as they stand in a stream (there with `h:` before them). */
export const traceHeaders = { parent: 'traceparent', state: 'tracestate' } as const

/** The headers that carry a span's context; none when it has no valid one, as without an SDK. */
export function headersOf(
  api: OpenTelemetryApi,
  context: SpanContext,
): Readonly<Record<string, string>> {
  if (!api.isSpanContextValid(context)) return {}
  const flags = context.traceFlags.toString(16).padStart(2, '0')
  const parent = `00-${context.traceId}-${context.spanId}-${flags}`
  const state = context.traceState?.serialize() ?? ''
  return {
    [traceHeaders.parent]: parent,
    ...(state === '' ? {} : { [traceHeaders.state]: state }),
  }
}

/** The context that headers carry; undefined when there is none, or one that is not valid. */
export function contextOf(
  api: OpenTelemetryApi,
  parent: string | undefined,
  state: string | undefined,
): SpanContext | undefined {
  if (parent === undefined) return undefined
  // Later versions may append fields; the first four stay what they are.
  const found = /^(?!ff)[\da-f]{2}-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})(?:-|$)/.exec(parent)
  if (found === null) return undefined
  const [, traceId = '', spanId = '', flags = ''] = found
  const context: SpanContext = {
    traceId,
    spanId,
    traceFlags: Number.parseInt(flags, 16),
    isRemote: true,
    ...(state === undefined ? {} : { traceState: api.createTraceState(state) }),
  }
  return api.isSpanContextValid(context) ? context : undefined
}
