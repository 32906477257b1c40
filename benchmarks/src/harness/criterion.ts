/** What a measured figure must be. */
export interface Criterion {
  readonly id: string
  readonly measured: number
  readonly limit: number
  readonly unit: string
  readonly pass: boolean
  /** Whether the figure may be the limit or more, or the limit or less. */
  readonly direction: 'at least' | 'at most'
  /**
   * `target` is what the product has to reach. `quick` is a loose bound for short runs on machines
   * that do other work as well: it finds what is broken, not what became a little slower.
   */
  readonly bound: 'quick' | 'target'
}

/** A criterion's limits: the target, and the loose one of a quick run where that differs. */
export interface Limits {
  readonly target: number
  /** @defaultValue the target: the figure does not depend on the machine */
  readonly quick?: number
}

/** Makes the criteria of one run, with the limits that hold in it. */
export class Judge {
  readonly #quick: boolean
  readonly #criteria: Criterion[] = []

  constructor(quick: boolean) {
    this.#quick = quick
  }

  get criteria(): readonly Criterion[] {
    return this.#criteria
  }

  atLeast(id: string, measured: number, limits: Limits, unit: string): void {
    this.#add('at least', id, measured, limits, unit)
  }

  atMost(id: string, measured: number, limits: Limits, unit: string): void {
    this.#add('at most', id, measured, limits, unit)
  }

  #add(
    direction: Criterion['direction'],
    id: string,
    measured: number,
    limits: Limits,
    unit: string,
  ): void {
    const bound = this.#quick && limits.quick !== undefined ? 'quick' : 'target'
    const limit = bound === 'quick' ? (limits.quick ?? limits.target) : limits.target
    // Written so that a figure that is not a number fails.
    const pass = direction === 'at least' ? measured >= limit : measured <= limit
    this.#criteria.push({ id, measured, limit, unit, pass, direction, bound })
  }
}
