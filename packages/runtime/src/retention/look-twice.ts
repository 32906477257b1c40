import type { Core } from '../core.ts'
import { pause, throwIfAborted } from '../lifecycle/signals.ts'

/** A member that beats rarely must still be heard once in between. */
const LEASES_BETWEEN_LOOKS = 1.1

/**
 * Does something that nobody may be at work for. `look` is told what was seen of them before, and does it
 * only if nobody was seen or nothing has changed since; otherwise it answers `HELD`, what is seen and the
 * longest lease in ms. Answers `HELD` when somebody is alive.
 */
export async function lookTwice(
  core: Core,
  look: (seen: string) => Promise<readonly unknown[]>,
  signal: AbortSignal | undefined,
  what: string,
): Promise<readonly unknown[]> {
  const first = await look('')
  if (first[0] !== 'HELD') return first
  await pause(core.clock, Number(first[2]) * LEASES_BETWEEN_LOOKS, signal)
  throwIfAborted(signal, what)
  return await look(String(first[1]))
}
