import { PollAdapterError } from '../errors.ts'
import type { Clock } from './clock.ts'

/** The one place where signals are linked and waits are made; everything returns its clean-up. */

/** An error of ours that keeps the signal's own reason. */
export function abortedError(signal: AbortSignal, what: string): PollAdapterError {
  return new PollAdapterError('ABORTED', `${what} was aborted`, {
    cause: signal.reason as unknown,
  })
}

/** Throws `ABORTED` when the signal has fired. */
export function throwIfAborted(signal: AbortSignal | undefined, what: string): void {
  if (signal?.aborted === true) throw abortedError(signal, what)
}

/** Calls back when the signal fires, at once when it has; the answer takes the listener off again. */
export function onAbort(signal: AbortSignal | undefined, callback: () => void): () => void {
  if (signal === undefined) return () => undefined
  if (signal.aborted) {
    callback()
    return () => undefined
  }
  signal.addEventListener('abort', callback, { once: true })
  return () => {
    signal.removeEventListener('abort', callback)
  }
}

/** Waits; ends early, without an error, when the signal fires. */
export function pause(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted === true) return Promise.resolve()
  return new Promise((resolve) => {
    const done = (): void => {
      cancel()
      off()
      resolve()
    }
    const cancel = clock.after(ms, done)
    const off = onAbort(signal, done)
  })
}

/** Settles like the promise, or rejects with `ABORTED` when the signal fires; the promise goes on. */
export async function abortable<T>(
  promise: Promise<T>,
  signal: AbortSignal | undefined,
  what: string,
): Promise<T> {
  if (signal === undefined) return await promise
  const { promise: stopped, reject } = Promise.withResolvers<never>()
  const off = onAbort(signal, () => {
    reject(abortedError(signal, what))
  })
  try {
    return await Promise.race([promise, stopped])
  } finally {
    off()
    stopped.catch(() => undefined)
    promise.catch(() => undefined)
  }
}
