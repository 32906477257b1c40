/** A web-standard handler; mounts in anything that speaks `Request` and `Response`. */
export type HttpHandler = (request: Request) => Promise<Response>

/** What the handlers here need of a request. */
export interface PlainRequest {
  readonly method: string
  /** The whole URL; equal texts are equal questions, so it is taken apart only where it has to be. */
  readonly href: string
  readonly header: (name: string) => string | null
  /** Fires when the client goes away. */
  readonly signal: AbortSignal
}

/** An answer before it becomes one of a server. */
export interface PlainResponse {
  readonly status: number
  /** With names in lower case; the length of the body is among them. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | undefined
}

export type Answerer = (request: PlainRequest) => Promise<PlainResponse>

const answerers = new WeakMap<HttpHandler, Answerer>()

/** The web-standard form of an answerer. */
export function httpHandler(answer: Answerer): HttpHandler {
  const handler: HttpHandler = async (request) => {
    const { status, headers, body } = await answer({
      method: request.method,
      href: request.url,
      header: (name) => request.headers.get(name),
      signal: request.signal,
    })
    return new Response(body ?? null, { status, headers })
  }
  answerers.set(handler, answer)
  return handler
}

/**
 * What is behind a handler that was made here, so that other servers need no web objects in between: for a
 * thousand clients who are answered at once they would cost more than everything else.
 */
export function answererOf(handler: HttpHandler): Answerer | undefined {
  return answerers.get(handler)
}
