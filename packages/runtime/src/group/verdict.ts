import type { DeadLetterReason } from '../delivery/dead-letter-fields.ts'
import { isUnrecoverable } from '../delivery/unrecoverable.ts'
import type { ResolvedGroupOptions } from './options.ts'

/** How one attempt ended. */
export type Outcome =
  | { readonly kind: 'done' }
  | { readonly kind: 'failed'; readonly error: unknown }
  /** It could not be decoded or validated. */
  | { readonly kind: 'invalid'; readonly error: Error }
  /** It was told to give up for no fault of its own, and did. */
  | { readonly kind: 'interrupted' }

/** What becomes of the entry. */
export type Verdict =
  | { readonly action: 'ack' }
  /** Try again at once; the attempt does not count. */
  | { readonly action: 'again' }
  | { readonly action: 'retry' }
  | { readonly action: 'dead-letter'; readonly reason: DeadLetterReason; readonly error: unknown }
  | { readonly action: 'stop'; readonly reason: DeadLetterReason; readonly error: unknown }

export const done: Outcome = Object.freeze({ kind: 'done' })
export const interrupted: Outcome = Object.freeze({ kind: 'interrupted' })

const ack: Verdict = Object.freeze({ action: 'ack' })
const again: Verdict = Object.freeze({ action: 'again' })
const retry: Verdict = Object.freeze({ action: 'retry' })

type Policy = Pick<ResolvedGroupOptions, 'maxAttempts' | 'onExhausted' | 'onInvalid'>

/** Decides after an attempt, given its number. */
export function judgeOutcome(outcome: Outcome, attempt: number, policy: Policy): Verdict {
  switch (outcome.kind) {
    case 'done':
      return ack
    case 'interrupted':
      return again
    case 'invalid':
      return policy.onInvalid === 'skip'
        ? ack
        : { action: policy.onInvalid, reason: 'invalid', error: outcome.error }
    case 'failed':
      if (isUnrecoverable(outcome.error)) {
        return { action: policy.onExhausted, reason: 'unrecoverable', error: outcome.error }
      }
      return attempt >= policy.maxAttempts
        ? { action: policy.onExhausted, reason: 'exhausted', error: outcome.error }
        : retry
    default:
      return outcome satisfies never
  }
}

/**
 * Decides before an attempt: an event whose recorded starts have used up its attempts is not started,
 * because whatever is wrong with it may be that it ends the process.
 */
export function isExhausted(attempt: number, policy: Policy): boolean {
  return attempt > policy.maxAttempts
}
