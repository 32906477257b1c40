/** The sign of life of whoever polls for a bridge, as its lease shows it. */
export interface BridgeLife {
  /** Changes with each beat of the holder; '' while no process holds the bridge. */
  readonly sign: string
  readonly leaseMs: number
}

/** Since when the same sign has been seen. */
export interface LifeSighting {
  readonly sign: string
  readonly sinceMs: number
}

/** A process whose turn has failed stands again after half a second; others need a moment to take over. */
const TAKE_OVER_MS = 1_500

export function sight(
  before: LifeSighting | undefined,
  { sign }: BridgeLife,
  nowMs: number,
): LifeSighting {
  return before?.sign === sign ? before : { sign, sinceMs: nowMs }
}

/** Whether no process runs the bridge: the lease is over, and nobody has taken it. Pure. */
export function isOver(
  { sinceMs }: LifeSighting,
  { sign, leaseMs }: BridgeLife,
  nowMs: number,
): boolean {
  return nowMs - sinceMs > (sign === '' ? 0 : leaseMs) + TAKE_OVER_MS
}
