import { BeatWatch, type Manning } from './beat-watch.ts'
import type { ReaderState, StreamMeta } from './companions.ts'
import type { Proof, StreamFigures } from './lag.ts'
import type { Course } from './verdict.ts'

/** What the exporter remembers of a stream from one scrape to the next. */
export class StreamMemory {
  figures: StreamFigures | undefined
  meta: StreamMeta | undefined
  bytes: number | undefined
  /** How many groups and Redis consumers of them it has. */
  readers: number | undefined
  /** Whether the payload of its first entry is better left in Redis. */
  isLarge = false
  /** The id of the last entry, looked up where it cannot be the last id given. */
  lastEntry:
    | { readonly lastId: string; readonly maxDeletedId: string; readonly id: string }
    | undefined
  readonly groups: Map<string, GroupMemory> = new Map()

  group(name: string): GroupMemory {
    let group = this.groups.get(name)
    if (group === undefined) this.groups.set(name, (group = new GroupMemory()))
    return group
  }
}

/** The lag of a group in the scrape that is under way. */
export interface MeasuredLag {
  readonly events: number
  readonly known: boolean
  /** The first event after the position; '' when there is none, undefined when that is not known. */
  readonly oldestId: string | undefined
}

/** What the exporter remembers of a group. */
export class GroupMemory {
  proof: Proof | undefined
  lag: MeasuredLag = { events: 0, known: false, oldestId: undefined }
  course: Course | undefined
  /** When it was last seen without lag, by the server's clock: whatever waits now came later. */
  caughtUpMs = 0
  /** When it last had its turn of being counted, by the server's clock. */
  countTurnMs = 0
  /** The first event after a position, as it was counted, and how many the stream had lost by then. */
  oldest: { readonly position: string; readonly id: string; readonly gone: number } | undefined
  state: ReaderState | undefined
  manning: Manning | undefined
  readonly beats: BeatWatch = new BeatWatch()
  pendingByDeliveries: Readonly<Record<string, number>> | undefined
  deadLetters: { readonly length: number; readonly firstId: string } | undefined
  redriving: number | undefined
}
