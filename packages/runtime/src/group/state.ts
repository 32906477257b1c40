import { MillraceError } from '../errors.ts'

/**
 * The states of a member, in the order in which they can follow each other:
 * - `idle`: made, not started; nothing has been sent.
 * - `running`: it joins, reads and handles; pausing does not change this.
 * - `draining`: it reads and starts nothing more, and waits for the handlers that run.
 * - `drained`: no handler runs; it still holds its lease.
 * - `closing`: it gives back what it has and leaves.
 * - `closed`: nothing of it is left. Reached from every state, and final.
 */
export type GroupState = 'closed' | 'closing' | 'drained' | 'draining' | 'idle' | 'running'

/** @throws MillraceError `STATE_INVALID`, naming the state */
export function expectState(
  call: string,
  state: GroupState,
  allowed: readonly GroupState[],
  name: string,
): void {
  if (allowed.includes(state)) return
  throw new MillraceError(
    'STATE_INVALID',
    `Consumer group ${name} is ${state}: ${call} is possible only while it is ${allowed.join(' or ')}`,
    { name },
  )
}
