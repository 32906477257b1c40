import { evaluate } from '../connection/script.ts'
import type { Core, StreamLike } from '../core.ts'
import { throwIfAborted } from '../lifecycle/signals.ts'
import type { ResolvedTrimOptions, TrimTo } from './options.ts'
import { trimDryRunScript, trimScript } from './trim-script.ts'

/** What somebody loses by a trim. */
export interface UnreadLoss {
  readonly name: string
  /** `foreign`: a Redis consumer group that Millrace did not create. */
  readonly kind: 'consumer' | 'foreign' | 'group'
  /** How many of the removed events it had not processed. */
  readonly events: number
}

export interface TrimReport {
  readonly dryRun: boolean
  /** How many events were removed, or would be. */
  readonly removed: number
  /** The last of them; '' when there is none. */
  readonly lastId: string
  /** Who loses how many; those who lose nothing are left out. */
  readonly unread: readonly UnreadLoss[]
}

/** Entries that one call removes: some milliseconds of the server's time at most. */
const MOST_REMOVED = 10_000
/** A dry run reads what it counts: about so many bytes in one call. */
const BYTES_COUNTED = 1024 * 1024
const FEWEST_COUNTED = 16
const MOST_COUNTED = 4_096
/** Pending entries of one group that one call looks at. */
const MOST_PENDING = 256
/** Nobody is reported as abandoned by a trim. */
const NEVER_MS = Number.MAX_SAFE_INTEGER

/** Trims part by part, so that Redis serves others in between; each part is counted exactly. */
export async function trimStream(
  core: Core,
  stream: StreamLike,
  options: ResolvedTrimOptions,
): Promise<TrimReport> {
  const { dryRun, signal } = options
  const keys = core.keysOf(stream)
  const unread = new Map<string, UnreadLoss>()
  let removed = 0
  let lastId = ''
  let cursor = ''
  let most = dryRun ? FEWEST_COUNTED : MOST_REMOVED
  for (;;) {
    throwIfAborted(signal, 'Trimming')
    const args = [
      ...placeArguments(options.to),
      dryRun ? removed : 0,
      cursor,
      NEVER_MS,
      most,
      MOST_PENDING,
    ]
    const reply = (await core.connections.call(
      'data',
      keys.tag,
      (session) =>
        evaluate(session, dryRun ? trimDryRunScript : trimScript, [keys.stream, keys.meta], args),
      { signal },
    )) as unknown[]
    if (reply[0] !== 'OK') break
    const count = Number(reply[2])
    removed += count
    if (count > 0) lastId = String(reply[3])
    cursor = String(reply[5])
    addLosses(unread, reply[6] as unknown[])
    if (reply[1] !== '1') break
    if (dryRun) most = nextCount(Number(reply[4]), count)
  }
  return {
    dryRun,
    removed,
    lastId,
    unread: [...unread.values()].filter(({ events }) => events > 0),
  }
}

function placeArguments(to: TrimTo): [id: string, keep: number | string] {
  if ('length' in to) return ['', to.length]
  return ['id' in to ? to.id : `${to.timeMs}-0`, '']
}

/** Pages follow the size of what was seen last. */
function nextCount(bytes: number, entries: number): number {
  if (entries === 0) return FEWEST_COUNTED
  const each = Math.max(bytes / entries, 1)
  return Math.min(Math.max(Math.floor(BYTES_COUNTED / each), FEWEST_COUNTED), MOST_COUNTED)
}

function addLosses(losses: Map<string, UnreadLoss>, flat: readonly unknown[]): void {
  for (let i = 0; i + 2 < flat.length; i += 3) {
    const name = String(flat[i])
    const kind = String(flat[i + 1]) as UnreadLoss['kind']
    losses.set(name, { name, kind, events: Number(flat[i + 2]) + (losses.get(name)?.events ?? 0) })
  }
}
