import { compareIds } from '@millrace/runtime'
import type { StreamPosition } from './stream-position.ts'

const MOST = 10_000

/** Where cursors were handed out lately, or found: the least recently noted are forgotten. */
export class RecentPlaces {
  readonly #places = new Map<string, StreamPosition>()

  /** A cursor that stands for several places, because events came late, leads to the first of them. */
  note(cursor: string, position: StreamPosition): void {
    const known = this.#places.get(cursor)
    this.#places.delete(cursor)
    const isBefore =
      known?.incarnation === position.incarnation && compareIds(known.id, position.id) < 0
    this.#places.set(cursor, isBefore ? known : position)
    if (this.#places.size <= MOST) return
    for (const oldest of this.#places.keys()) {
      this.#places.delete(oldest)
      break
    }
  }

  find(cursor: string, incarnation: string): string | undefined {
    const known = this.#places.get(cursor)
    return known?.incarnation === incarnation ? known.id : undefined
  }
}
