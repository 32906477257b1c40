/**
 * The fields that a dead letter has beside those of the event that it was, which it keeps byte for
 * byte. `docs/wire-format.md` explains them.
 */
export const deadLetterFields = {
  /** The id that the event had in its stream. */
  id: 'dead:id',
  /** One of {@link DeadLetterReason}. */
  reason: 'dead:reason',
  /** How many attempts had been made. */
  attempts: 'dead:attempts',
  /** The text of the last error, cut to {@link LONGEST_ERROR}. */
  error: 'dead:error',
  /** How often it was redriven and came back; absent at first. */
  redrives: 'dead:redrives',
} as const

/** Why an event became a dead letter. */
export type DeadLetterReason = 'exhausted' | 'invalid' | 'unrecoverable'

/** How many characters of an error's text a dead letter keeps. */
export const LONGEST_ERROR = 1_000

/** How many dead letters one consumer or consumer group may have; nothing is trimmed to make room. */
export const DEAD_LETTER_CAP = 10_000
