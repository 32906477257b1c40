import { MillraceError } from '../errors.ts'
import type { ReadFacts } from '../health/read-health.ts'

/**
 * The life of a consumer. One writer: the Consumer itself.
 *
 * ```
 * idle ──start──▶ starting ──▶ standby ◀──lost── holding
 *                    │            │  ▲              │
 *                    └────────────┴──┴──granted─────┘
 * any of these ──close/drain──▶ draining ──▶ closed
 * any of these ──policy, permanent error──▶ stopped
 * ```
 * - `idle`: made, nothing done.
 * - `starting`: asks Redis for the first time.
 * - `standby`: somebody else holds the lease, or Redis is away; looks again and again.
 * - `holding`: has the lease, reads and handles.
 * - `draining`: takes in nothing more; handlers that run may finish.
 * - `closed`: ended as asked; the position is stored and the lease released where Redis could be reached.
 * - `stopped`: ended by itself; `error` says why.
 */
export type ConsumerState =
  | { readonly is: 'idle' }
  | { readonly is: 'starting' }
  | { readonly is: 'standby'; readonly holder: string }
  | { readonly is: 'holding'; readonly token: string }
  | { readonly is: 'draining' }
  | { readonly is: 'closed' }
  | { readonly is: 'stopped'; readonly error: MillraceError }

/** @throws MillraceError `STATE_INVALID` unless the consumer may be started */
export function assertStartable(state: ConsumerState, name: string): void {
  if (state.is === 'idle') return
  throw new MillraceError(
    'STATE_INVALID',
    `Consumer ${name} is ${state.is}; only an idle one can be started`,
    {
      name,
    },
  )
}

/** What the state means for reading. */
export function readPhase(state: ConsumerState): ReadFacts['phase'] {
  switch (state.is) {
    case 'holding':
      return 'reading'
    case 'draining':
    case 'closed':
      return 'closing'
    case 'idle':
    case 'starting':
    case 'standby':
    case 'stopped':
      return state.is
    default:
      return state satisfies never
  }
}

/** Whether the consumer works, or tries to. */
export function isRunning(state: ConsumerState): boolean {
  switch (state.is) {
    case 'starting':
    case 'standby':
    case 'holding':
      return true
    case 'idle':
    case 'draining':
    case 'closed':
    case 'stopped':
      return false
    default:
      return state satisfies never
  }
}
