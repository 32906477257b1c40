import type { Change } from './change.ts'
import { type Cursor, type CursorClass, formatCursor, parseCursor } from './cursor.ts'

/** What has changed in a position since it was last stored. */
export interface PositionDelta {
  readonly cursor: string
  readonly set: ReadonlyMap<string, string>
  readonly remove: readonly string[]
}

/** What a snapshot's item looks like when nobody knows what was handled last: nothing is equal to it. */
const IN_DOUBT = '?'

/**
 * Where somebody is in a source: what lies at or before the cursor is done, and beside it certain changes
 * are known.
 *
 * - `exact`: the cursor says everything.
 * - `overlap`: known are the changes of the last two overlaps: one is read again each time, and whoever
 *   takes over may be behind by another.
 * - `border`: the cursor is that of the last page's end; known are the changes since.
 * - `snapshot`: there is no cursor (but perhaps an entity tag); known is what each item looked like.
 */
export class SourcePosition {
  readonly #cursors: CursorClass
  #cursor: Cursor | undefined
  /** By change id; of a snapshot by key. */
  readonly #known: Map<string, string>
  #set = new Map<string, string>()
  readonly #remove = new Set<string>()
  #cursorChanged = false
  /** Of an overlap: of each item the change that was taken last, as far as this process has taken it. */
  readonly #latest = new Map<string, Change>()
  /** Known changes that came by since the last border: they lie before the next one. */
  readonly #met = new Set<string>()

  constructor(
    cursors: CursorClass,
    cursor?: Cursor,
    known: Iterable<readonly [string, string]> = [],
  ) {
    this.#cursors = cursors
    this.#cursor = cursor
    this.#known = new Map(known)
  }

  /** At or before this everything is done. */
  get cursor(): Cursor | undefined {
    return this.#cursor
  }

  get known(): ReadonlyMap<string, string> {
    return this.#known
  }

  /** Of an overlap: the item's change that was taken last, where that is known. */
  latestOf(key: string): Change | undefined {
    return this.#latest.get(key)
  }

  /** Where the source has to be asked from. */
  get from(): Cursor | undefined {
    if (this.#cursor === undefined || this.#cursors.kind !== 'overlap') return this.#cursor
    return this.#cursors.before(this.#cursor)
  }

  /** Whether there is anything to be stored. */
  get isDirty(): boolean {
    return this.#cursorChanged || this.#set.size > 0 || this.#remove.size > 0
  }

  /** Whether the change has been taken. */
  knows(change: Change): boolean {
    switch (this.#cursors.kind) {
      case 'exact':
        return (
          this.#cursor !== undefined &&
          change.cursor !== undefined &&
          this.#cursors.compare(change.cursor, this.#cursor) <= 0
        )
      case 'overlap':
        return this.#known.has(change.id) || this.#isForgotten(change)
      case 'border':
        return this.#known.has(change.id)
      case 'snapshot':
        return change.deleted
          ? !this.#known.has(change.key)
          : this.#known.get(change.key) === change.hash
      default:
        return this.#cursors satisfies never
    }
  }

  /** The change is done, and so is everything before it. */
  take(change: Change): void {
    switch (this.#cursors.kind) {
      case 'exact':
        this.#advance(change.cursor)
        return
      case 'overlap':
        this.#put(change.id, formatCursor(change.cursor))
        // What was taken last stands last.
        this.#latest.delete(change.key)
        this.#latest.set(change.key, change)
        if (this.#advance(change.cursor)) this.#forget()
        return
      case 'border':
        this.#put(change.id, '')
        this.#met.add(change.id)
        return
      case 'snapshot':
        if (change.deleted) this.#drop(change.key)
        else this.#put(change.key, change.hash)
        this.#distrustTag()
        return
      default:
        this.#cursors satisfies never
    }
  }

  /** A change that is known came by, on whichever way is followed now. */
  meet(change: Change): void {
    if (this.#cursors.kind === 'border') this.#met.add(change.id)
  }

  /** Another way is followed from here on, or a page is asked for again. */
  beginPage(): void {
    this.#met.clear()
  }

  /** A whole page is done; where cursors are opaque the position is its end now. */
  passBorder(cursor: Cursor | undefined): void {
    if (this.#cursors.kind === 'exact' || this.#cursors.kind === 'overlap') return
    if (cursor === undefined || cursor === this.#cursor) return
    this.#cursor = cursor
    this.#cursorChanged = true
    // The other way may have brought changes that lie behind this border: those stay known.
    for (const id of this.#met) this.#drop(id)
    this.#met.clear()
  }

  /** Nobody knows any more what was last handled of these items, so each of them counts as changed. */
  doubt(keys: Iterable<string>): void {
    if (this.#cursors.kind !== 'snapshot') return
    for (const key of keys) {
      this.#put(key, IN_DOUBT)
      this.#distrustTag()
    }
  }

  /** The same place again, which then goes its own way. */
  copy(): SourcePosition {
    return new SourcePosition(this.#cursors, this.#cursor, this.#known)
  }

  /** The items of a snapshot that are not among these. */
  missing(keys: ReadonlySet<string>): string[] {
    return [...this.#known.keys()].filter((key) => !keys.has(key))
  }

  /** What is to be stored; afterwards it counts as stored. */
  takeDelta(): PositionDelta {
    const delta = {
      cursor: formatCursor(this.#cursor),
      set: this.#set,
      remove: [...this.#remove],
    }
    this.#set = new Map()
    this.#remove.clear()
    this.#cursorChanged = false
    return delta
  }

  /** A snapshot's tag stands for what is known; `304` would else hide that the source went back to it. */
  #distrustTag(): void {
    if (this.#cursor === undefined) return
    this.#cursor = undefined
    this.#cursorChanged = true
  }

  #isForgotten({ cursor }: Change): boolean {
    const oldest = this.#oldestKnown()
    if (oldest === undefined || cursor === undefined || this.#cursors.kind !== 'overlap')
      return false
    return this.#cursors.compare(cursor, oldest) < 0
  }

  #oldestKnown(): Cursor | undefined {
    if (this.#cursors.kind !== 'overlap' || this.#cursor === undefined) return undefined
    return this.#cursors.before(this.#cursors.before(this.#cursor))
  }

  #advance(cursor: Cursor | undefined): boolean {
    if (cursor === undefined || !('compare' in this.#cursors)) return false
    if (this.#cursor !== undefined && this.#cursors.compare(cursor, this.#cursor) <= 0) return false
    this.#cursor = cursor
    this.#cursorChanged = true
    return true
  }

  /** Known changes come nearly in order, so what is old stands at the front. */
  #forget(): void {
    const oldest = this.#oldestKnown()
    if (oldest === undefined || this.#cursors.kind !== 'overlap') return
    for (const [id, stored] of this.#known) {
      const cursor = parseCursor(stored)
      if (cursor !== undefined && this.#cursors.compare(cursor, oldest) >= 0) break
      this.#drop(id)
    }
    for (const [key, { cursor }] of this.#latest) {
      if (cursor !== undefined && this.#cursors.compare(cursor, oldest) >= 0) return
      this.#latest.delete(key)
    }
  }

  #put(name: string, value: string): void {
    this.#known.set(name, value)
    this.#set.set(name, value)
    this.#remove.delete(name)
  }

  #drop(name: string): void {
    this.#known.delete(name)
    this.#set.delete(name)
    this.#remove.add(name)
  }
}
