import { isUnrecoverable } from '../delivery/unrecoverable.ts'
import { backoffMs, hashOfId } from '../delivery/retry-schedule.ts'
import type { ResolvedConsumerOptions } from './options.ts'

/** What becomes of an event whose handler failed. */
export type AfterFailure =
  | { readonly action: 'retry'; readonly afterMs: number }
  | { readonly action: 'dead-letter'; readonly reason: 'exhausted' | 'unrecoverable' }
  | { readonly action: 'stop' }

/** Decides about a failed attempt (the number counts from 1) of an event held for `heldMs` so far. */
export function afterFailure(
  error: unknown,
  attempt: number,
  heldMs: number,
  id: string,
  options: ResolvedConsumerOptions,
): AfterFailure {
  const unrecoverable = isUnrecoverable(error)
  const waitMs = backoffMs(attempt, hashOfId(id), options.backoff)
  // An attempt that could only come after the longest hold would be none.
  const exhausted = attempt >= options.maxAttempts || heldMs + waitMs > options.maxHoldMs
  if (!unrecoverable && !exhausted) return { action: 'retry', afterMs: waitMs }
  if (options.onExhausted === 'stop') return { action: 'stop' }
  return { action: 'dead-letter', reason: unrecoverable ? 'unrecoverable' : 'exhausted' }
}
