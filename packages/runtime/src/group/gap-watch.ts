import type { MillraceError } from '../errors.ts'
import { gapError, type ReportedGap, reportGap } from '../retention/gap.ts'

/** Tells of events that left before the group had processed them, each time once, as the owner chose. */
export class GapWatch {
  readonly #facts: { readonly stream: string; readonly name: string }
  readonly #onGap: 'continue' | 'stop'
  readonly #stop: (error: MillraceError) => void
  #told = ''

  constructor(
    facts: { readonly stream: string; readonly name: string },
    onGap: 'continue' | 'stop',
    stop: (error: MillraceError) => void,
  ) {
    this.#facts = facts
    this.#onGap = onGap
    this.#stop = stop
  }

  /** The gap that the group need not be told of again, as it stood in the state; '' for none. */
  get told(): string {
    return this.#told
  }

  meet(gap: ReportedGap): void {
    if (gap.text === this.#told) return
    reportGap(gap, this.#facts)
    if (this.#onGap === 'continue') this.#told = gap.text
    // It stays in the state: whoever starts the group again is to decide.
    else this.#stop(gapError(gap, this.#facts))
  }
}
