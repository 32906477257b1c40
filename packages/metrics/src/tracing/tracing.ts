import {
  channels,
  type HandlerFacts,
  headerOf,
  type Instrumentation,
  isMillraceError,
  type PublishCallFacts,
  type Received,
} from '@millrace/runtime'
import type { Attributes, Context, Span, SpanContext, Tracer } from '@opentelemetry/api'
import { attributes, operations, ownAttributes, SYSTEM } from '../semantic-conventions.ts'
import { checkTracingOptions, type OpenTelemetryApi, type TracingOptions } from './options.ts'
import { contextOf, headersOf, traceHeaders } from './trace-headers.ts'
import { Unsettled } from './unsettled.ts'

/** As many links as SDKs keep by default. */
const MOST_LINKS = 128
/** What the SDK, and whatever instruments Redis clients with it, looks at. */
const SUPPRESSED = 'OpenTelemetry SDK Context Key SUPPRESS_TRACING'

/**
 * Traces what Millrace does; give it to `connect` as `instrumentation`. One for a process.
 * @throws MillraceError `OPTIONS_INVALID`
 */
export function startTracing(options: TracingOptions): Tracing {
  return new Tracing(options)
}

type Operation = (typeof operations)[keyof typeof operations]

/**
 * Spans of publishing, receiving, processing and settling. The context of publishing travels in the event's
 * headers, so that it survives retries, dead letters and redrives: each attempt is a span of the trace in
 * which the event was published. What concerns several events has links to them. Waiting for events makes
 * no spans. Use {@link startTracing}.
 */
export class Tracing implements Instrumentation, Disposable {
  readonly #api: OpenTelemetryApi
  readonly #tracer: Tracer
  readonly #silence: Context
  readonly #unsettled = new Unsettled()
  readonly #offs: (() => void)[]

  /** @internal */
  constructor(options: TracingOptions) {
    checkTracingOptions(options)
    const { api, tracerProvider = api.trace.getTracerProvider() } = options
    this.#api = api
    this.#tracer = tracerProvider.getTracer('@millrace/metrics')
    this.#silence = api.ROOT_CONTEXT.setValue(api.createContextKey(SUPPRESSED), true)
    this.#offs = [
      channels.received.subscribe((fact) => {
        this.#received(fact)
      }),
      channels.checkpointed.subscribe(({ stream, name, position, durationMs }) => {
        const contexts = this.#unsettled.takeThrough(stream, name, position)
        this.#settled(operations.checkpoint, stream, name, contexts, durationMs)
      }),
      channels.acknowledged.subscribe(({ stream, name, ids, durationMs }) => {
        const contexts = this.#unsettled.takeThese(stream, name, ids)
        this.#settled(operations.acknowledge, stream, name, contexts, durationMs)
      }),
    ]
  }

  publish<Result>(
    { stream, events, headers }: PublishCallFacts,
    send: (headers: Readonly<Record<string, string>>) => Promise<Result>,
  ): Promise<Result> {
    const { context, trace, SpanKind } = this.#api
    const span = this.#tracer.startSpan(`${operations.send.name} ${stream}`, {
      kind: SpanKind.PRODUCER,
      attributes: {
        ...about(operations.send, stream),
        ...(events > 1 ? { [attributes.batchCount]: events } : {}),
      },
    })
    // Whoever passes an event on with the context that it came with wants it to stay in that trace.
    const isCarried = headers?.[traceHeaders.parent] !== undefined
    const added = isCarried ? {} : headersOf(this.#api, span.spanContext())
    const sent = context.with(trace.setSpan(context.active(), span), () => send(added))
    return sent.then(
      (result) => {
        span.setAttributes(resultOf(result))
        span.end()
        return result
      },
      (error: unknown) => {
        this.#fail(span, error)
        throw error
      },
    )
  }

  handle({ stream, name, event, context: delivery }: HandlerFacts, run: () => unknown): unknown {
    const { context, ROOT_CONTEXT, trace, SpanKind } = this.#api
    const { [traceHeaders.parent]: traceparent, [traceHeaders.state]: state } = event.headers
    const published = contextOf(this.#api, traceparent, state)
    // Not the active context: that of Millrace's loop, or of whichever event was handled before.
    const parent =
      published === undefined ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, published)
    const span = this.#tracer.startSpan(
      `${operations.process.name} ${stream}`,
      {
        kind: SpanKind.CONSUMER,
        attributes: {
          ...about(operations.process, stream, name),
          [attributes.messageId]: event.id,
          [ownAttributes.attempt]: delivery.attempt,
          ...(delivery.redelivered ? { [ownAttributes.redelivered]: true } : {}),
          ...(delivery.redriven ? { [ownAttributes.redriven]: true } : {}),
        },
      },
      parent,
    )
    const succeeded = <Result>(result: Result): Result => {
      if (span.isRecording()) this.#unsettled.add(stream, name, event.id, span.spanContext())
      span.end()
      return result
    }
    const failed = (error: unknown): never => {
      this.#fail(span, error)
      throw error
    }
    let result: unknown
    try {
      result = context.with(trace.setSpan(parent, span), run)
    } catch (error) {
      return failed(error)
    }
    return isThenable(result) ? Promise.resolve(result).then(succeeded, failed) : succeeded(result)
  }

  background<Result>(begin: () => Result): Result {
    return this.#api.context.with(this.#silence, begin)
  }

  /** Makes no more spans for what is received and settled. Idempotent. */
  close(): void {
    for (const off of this.#offs.splice(0)) off()
    this.#unsettled.clear()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  #received({ stream, name, entries }: Received): void {
    const contexts: SpanContext[] = []
    for (const entry of entries) {
      const traceparent = headerOf(entry, traceHeaders.parent)
      const context = contextOf(this.#api, traceparent, undefined)
      if (context !== undefined) contexts.push(context)
      if (contexts.length === MOST_LINKS) break
    }
    if (contexts.length === 0) return
    const group = name === '' ? undefined : name
    this.#about(operations.receive, stream, group, contexts, entries.length, 0)
  }

  #settled(
    operation: Operation,
    stream: string,
    name: string,
    contexts: readonly SpanContext[],
    durationMs: number,
  ): void {
    if (contexts.length > 0)
      this.#about(operation, stream, name, contexts, contexts.length, durationMs)
  }

  /** A span of something that is over: in the trace of the one event it is about, or with links to several. */
  #about(
    operation: Operation,
    stream: string,
    name: string | undefined,
    contexts: readonly SpanContext[],
    count: number,
    durationMs: number,
  ): void {
    const { ROOT_CONTEXT, trace, SpanKind } = this.#api
    const [only] = contexts
    const isOne = count === 1 && only !== undefined
    const endMs = Date.now()
    const span = this.#tracer.startSpan(
      `${operation.name} ${stream}`,
      {
        kind: SpanKind.CLIENT,
        startTime: endMs - durationMs,
        attributes: {
          ...about(operation, stream, name),
          ...(isOne ? {} : { [attributes.batchCount]: count }),
        },
        links: isOne ? [] : contexts.slice(0, MOST_LINKS).map((context) => ({ context })),
      },
      isOne ? trace.setSpanContext(ROOT_CONTEXT, only) : ROOT_CONTEXT,
    )
    span.end(endMs)
  }

  #fail(span: Span, error: unknown): void {
    const message = error instanceof Error ? error.message : String(error)
    span.recordException(error instanceof Error ? error : message)
    span.setStatus({ code: this.#api.SpanStatusCode.ERROR, message })
    span.setAttribute(attributes.errorType, typeOf(error))
    span.end()
  }
}

function about({ name, type }: Operation, stream: string, group?: string): Attributes {
  return {
    [attributes.system]: SYSTEM,
    [attributes.operationName]: name,
    [attributes.operationType]: type,
    [attributes.destination]: stream,
    ...(group === undefined ? {} : { [attributes.consumerGroup]: group }),
  }
}

/** What the answer to a publish of one event tells. */
function resultOf(result: unknown): Attributes {
  if (typeof result !== 'object' || result === null || Array.isArray(result)) return {}
  const { id, duplicate, stored } = result as Readonly<Record<string, unknown>>
  return {
    ...(typeof id === 'string' ? { [attributes.messageId]: id } : {}),
    ...(duplicate === true ? { [ownAttributes.duplicate]: true } : {}),
    ...(typeof stored === 'string' ? { [ownAttributes.stored]: stored } : {}),
  }
}

function typeOf(error: unknown): string {
  if (isMillraceError(error)) return error.code
  return error instanceof Error ? error.name : '_OTHER'
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === 'object' && value !== null && typeof Reflect.get(value, 'then') === 'function'
  )
}
