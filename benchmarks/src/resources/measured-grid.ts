import type { Sample } from '../harness/samples.ts'
import { Samples } from '../harness/samples.ts'
import type { Cell, CellFigures } from './cell.ts'
import { rateName } from './grid.ts'
import type { SideName } from './sides.ts'

/** The figures of all cells of all sides. */
export class MeasuredGrid {
  readonly #samples = new Samples()
  readonly #known = new Set<string>()

  get all(): readonly Sample[] {
    return this.#samples.all
  }

  add(
    round: number,
    side: SideName,
    processes: number,
    cell: Cell,
    figures: Pick<CellFigures, 'cpuMsPerSecond' | 'memoryMiB'>,
  ): void {
    const variant = nameOf(side, processes, cell)
    this.#known.add(variant)
    this.#samples.add({ round, variant, figures: { ...figures } })
  }

  has(side: SideName, processes: number, cell: Cell): boolean {
    return this.#known.has(nameOf(side, processes, cell))
  }

  memoryMiB(side: SideName, processes: number, cell: Cell): number {
    return this.#samples.median(nameOf(side, processes, cell), 'memoryMiB')
  }

  /**
   * CPU milliseconds per second, without what publishing at that rate costs the server. That is by how much
   * the server alone uses more at this rate than at rest: its rest is the price of having it. The table
   * is written by another process, so there is nothing to take away from the poll API.
   */
  cpuMsPerSecond(side: SideName, processes: number, cell: Cell): number {
    const gross = this.#samples.median(nameOf(side, processes, cell), 'cpuMsPerSecond')
    return side === 'poll_http' ? gross : gross - this.#publishing(cell.perSecond)
  }

  #publishing(perSecond: number): number {
    const at = (rate: number): number =>
      this.#samples.median(nameOf('publishing', 0, { perSecond: rate }), 'cpuMsPerSecond')
    return Math.max(at(perSecond) - at(0), 0)
  }
}

function nameOf(side: SideName, processes: number, { perSecond, intervalMs }: Cell): string {
  const interval = intervalMs === undefined ? '' : `_${intervalMs}ms`
  const holders = side === 'publishing' ? '' : `_${processes}p`
  return `${side}${holders}_${rateName(perSecond)}${interval}`
}
