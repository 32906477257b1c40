import { setTimeout as delay } from 'node:timers/promises'

/** How {@link waitFor} waits. */
export interface WaitForOptions {
  /** What is waited for, as the end of "waited 25000 ms for …". */
  readonly describe: string
  /**
   * How long to wait before giving up, in milliseconds. It only bounds a hang: a test that passes never
   * waits for it, so choose it far above what a slow machine needs.
   * @defaultValue 25_000
   */
  readonly timeoutMs?: number
  /**
   * Pause between two looks, in milliseconds.
   * @defaultValue 10
   */
  readonly everyMs?: number
  /** Ends the wait early; the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal
}

const DEFAULTS = Object.freeze({ timeoutMs: 25_000, everyMs: 10 })

/**
 * Waits until `condition` answers something truthy, and resolves to that answer.
 *
 * A condition that throws is looked at again like one that answers false, because half-started servers
 * refuse connections before they answer. When time is up the promise rejects with the description and
 * the last answer; the last error is kept as `cause`.
 */
export async function waitFor<T>(
  condition: () => T | Promise<T>,
  options: WaitForOptions,
): Promise<Exclude<T, false | null | undefined | 0 | ''>> {
  const { describe, timeoutMs, everyMs, signal } = { ...DEFAULTS, ...options }
  const deadline = performance.now() + timeoutMs
  let last: Look<T>
  do {
    signal?.throwIfAborted()
    last = await lookBefore(deadline, condition)
    if (last.value) return last.value as Exclude<T, false | null | undefined | 0 | ''>
    await pause(everyMs, signal)
  } while (performance.now() < deadline)
  throw new Error(`waited ${timeoutMs} ms for ${describe}; ${account(last)}`, { cause: last.error })
}

interface Look<T> {
  readonly value?: T
  readonly error?: unknown
}

/** A look that hangs must not make the wait endless: it counts as failed when time is up. */
async function lookBefore<T>(deadline: number, condition: () => T | Promise<T>): Promise<Look<T>> {
  const late = Promise.withResolvers<Look<T>>()
  const timer = setTimeout(
    () => late.resolve({ error: new Error('it had not ended when time was up') }),
    Math.max(0, deadline - performance.now()),
  )
  try {
    return await Promise.race([look(condition), late.promise])
  } finally {
    clearTimeout(timer)
  }
}

async function look<T>(condition: () => T | Promise<T>): Promise<Look<T>> {
  try {
    return { value: await condition() }
  } catch (error) {
    return { error }
  }
}

async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    await delay(ms, undefined, signal ? { signal } : {})
  } catch (error) {
    // The timer's own error says only that something was aborted; the reason says what.
    signal?.throwIfAborted()
    throw error
  }
}

function account(last: Look<unknown>): string {
  if ('error' in last)
    return `the last look failed: ${last.error instanceof Error ? last.error.message : String(last.error)}`
  return `the last answer was ${printable(last.value)}`
}

function printable(value: unknown): string {
  try {
    const text = JSON.stringify(value, (_key, part: unknown) =>
      typeof part === 'bigint' ? `${part}n` : part,
    )
    return text === undefined ? String(value) : text.slice(0, 500)
  } catch {
    return String(value)
  }
}
