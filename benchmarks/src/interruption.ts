/** One Ctrl-C may arrive more than once, from the terminal and from whoever started this process. */
const SAME_SIGNAL_MS = 300

/** Somebody wants the run to end. */
export class Interrupted extends Error {
  override readonly name: string = 'Interrupted'
}

export interface Interruption extends Disposable {
  /** Rejects with {@link Interrupted} at the first signal. */
  readonly asked: Promise<never>
}

/** The first signal ends the run after clearing up, a second one at once. */
export function listenForSignals(): Interruption {
  const { promise: asked, reject } = Promise.withResolvers<never>()
  asked.catch(() => undefined)
  let firstAtMs: number | undefined
  const onSignal = (): void => {
    if (firstAtMs === undefined) {
      firstAtMs = performance.now()
      reject(new Interrupted('interrupted'))
    } else if (performance.now() - firstAtMs >= SAME_SIGNAL_MS) process.exit(130)
  }
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal).on('SIGHUP', onSignal)
  return {
    asked,
    [Symbol.dispose]: () => {
      process.off('SIGINT', onSignal).off('SIGTERM', onSignal).off('SIGHUP', onSignal)
    },
  }
}
