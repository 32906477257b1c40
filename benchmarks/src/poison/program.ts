import type { Place } from '../harness/workbench.ts'

/** What poison does to its handler, each time. */
export type Poison = 'hangs' | 'none' | 'throws'

export interface JoinTask {
  readonly place: Place
  readonly group: string
  readonly poison: Poison
  readonly warmUp: number
}

/** Events of which one is poison, from the end of the warm-up on. */
const POISON_EVERY = 500

export function isPoison(sequence: number, warmUp: number): boolean {
  return sequence >= warmUp && (sequence - warmUp) % POISON_EVERY === POISON_EVERY / 2
}

type Handled = {
  /** How long each harmless event took from being sent to its handler, but for the warm-up. */
  readonly latenciesMs: readonly number[]
  /** The sequences of all that was handled, as often as it was. */
  readonly sequences: readonly number[]
  readonly redriven: readonly number[]
}

/** One member of a group. */
export type MemberProgram = {
  /** Resolves when it is a member. */
  readonly join: (task: JoinTask) => Promise<void>
  /** Resolves when so many dead letters are there and nothing is pending, with the attempts of each. */
  readonly gaveUp: (letters: number) => Promise<readonly number[]>
  /** From now on poison does no harm. */
  readonly mend: (nothing: null) => Promise<void>
  /** Redrives all dead letters and waits until they have been handled. */
  readonly redrive: (nothing: null) => Promise<{ readonly redriven: number }>
  readonly handled: (nothing: null) => Promise<Handled>
}
