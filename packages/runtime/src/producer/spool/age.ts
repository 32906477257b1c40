import { MillraceError } from '../../errors.ts'

/** By the wall clock, the only one that goes on while no process runs; 0 when it went back, or for nothing. */
export function ageMs(atMs: number | undefined): number {
  return atMs === undefined ? 0 : Math.max(Date.now() - atMs, 0)
}

/**
 * Past this age Redis may have forgotten which events of the file it has, and sending them could store
 * them twice.
 * @throws MillraceError `SPOOL_EXPIRED`
 */
export function assertFresh(
  file: { readonly path: string; readonly events: number; readonly oldestAtMs: number | undefined },
  maxAgeMs: number,
): void {
  const oldestAgeMs = ageMs(file.oldestAtMs)
  if (oldestAgeMs <= maxAgeMs) return
  throw new MillraceError(
    'SPOOL_EXPIRED',
    `The oldest of ${file.events} events in the spool file ${file.path} is ` +
      `${Math.round(oldestAgeMs / 1_000)} s old; at most ${maxAgeMs / 1_000} s are allowed. The file was kept.`,
  )
}
