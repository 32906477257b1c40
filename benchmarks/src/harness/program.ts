/** What a program can be asked: each takes one JSON value and answers one. */
export type Asks = Readonly<Record<string, (input: never) => unknown>>

/** What travels to the program: the request of a {@link ProgramProcess}. */
export interface Request {
  readonly id: number
  readonly ask: string
  readonly input: unknown
}

export type Answer =
  | { readonly id: number; readonly ok: true; readonly output: unknown }
  | { readonly id: number; readonly ok: false; readonly error: string }

/**
 * The main of a measured process: does what the benchmark asks for over the IPC channel, and ends
 * when the channel is closed, so that none outlives an interrupted benchmark.
 */
export function serve(asks: Asks): void {
  process.on('message', (message) => {
    const request = message as Request
    void answer(asks, request).then((reply) => process.send?.(reply))
  })
  process.on('disconnect', () => process.exit())
}

async function answer(asks: Asks, { id, ask, input }: Request): Promise<Answer> {
  try {
    const asked = asks[ask]
    if (asked === undefined) throw new Error(`cannot be asked to ${ask}`)
    return { id, ok: true, output: await asked(input as never) }
  } catch (error) {
    return {
      id,
      ok: false,
      error: error instanceof Error ? (error.stack ?? error.message) : String(error),
    }
  }
}
