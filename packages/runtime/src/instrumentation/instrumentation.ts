import type { DeliveryContext } from '../delivery/context.ts'
import type { Event } from '../stream/event.ts'

/** One call of publish, before it is carried out. */
export interface PublishCallFacts {
  readonly stream: string
  /** How many events it publishes. */
  readonly events: number
  /** The headers that the caller gave. */
  readonly headers: Readonly<Record<string, string>> | undefined
}

/** One run of a handler, before it begins. */
export interface HandlerFacts {
  readonly stream: string
  /** The consumer or consumer group. */
  readonly name: string
  readonly kind: 'consumer' | 'group'
  readonly event: Event
  readonly context: DeliveryContext
}

/**
 * Stands around what Millrace and its users' handlers do, for tracing: it may add headers to what is
 * published, and choose the asynchronous context that things run in. Each function must call the one it
 * is given exactly once, at once, and answer what that answers. Without one nothing is paid.
 */
export interface Instrumentation {
  /** `send` publishes, with these headers beside the caller's own, which win. */
  publish<Result>(
    call: PublishCallFacts,
    send: (headers: Readonly<Record<string, string>>) => Promise<Result>,
  ): Promise<Result>
  /** `run` answers what the handler answers: a promise, or anything else. */
  handle(handler: HandlerFacts, run: () => unknown): unknown
  /** Begins one of Millrace's own loops, which has nothing to do with whatever its caller is about. */
  background<Result>(begin: () => Result): Result
}

/** A handler of events, whatever else its context tells. */
type Handler<Data, Context extends DeliveryContext> = (
  event: Event<Data>,
  context: Context,
) => unknown

/** The handler with the instrumentation around it; the handler itself without one. */
export function instrumentHandler<Data, Context extends DeliveryContext>(
  instrumentation: Instrumentation | undefined,
  whose: Pick<HandlerFacts, 'kind' | 'name' | 'stream'>,
  handler: Handler<Data, Context>,
): Handler<Data, Context> {
  if (instrumentation === undefined) return handler
  return (event, context) =>
    instrumentation.handle({ ...whose, event, context }, () => handler(event, context))
}

/** Begins a loop apart from whatever its caller is about. */
export function inBackground<Result>(
  instrumentation: Instrumentation | undefined,
  begin: () => Result,
): Result {
  return instrumentation === undefined ? begin() : instrumentation.background(begin)
}

/** The options of a publish with further headers; the caller's own win. */
export function withHeaders<
  Options extends { readonly headers?: Readonly<Record<string, string>> },
>(options: Options | undefined, headers: Readonly<Record<string, string>>): Options {
  return { ...options, headers: { ...headers, ...options?.headers } } as Options
}

/** For options. */
export function isInstrumentation(value: unknown): boolean | string {
  const isOne =
    typeof value === 'object' &&
    value !== null &&
    ['publish', 'handle', 'background'].every(
      (name) => typeof Reflect.get(value, name) === 'function',
    )
  return isOne || 'must have the functions publish, handle and background'
}
