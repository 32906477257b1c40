import { compareIds } from '@millrace/runtime'

/**
 * Of a snapshot: which of the events up to the place of the switch still have to be handled. All others of
 * them are older than what was polled, or were overtaken.
 */
export interface Cut {
  leavesOut(eventId: string): boolean
}

interface StoredCut {
  readonly until: string
  readonly handle: readonly string[]
}

export function formatCut(until: string, handle: readonly string[]): string {
  return JSON.stringify({ until, handle } satisfies StoredCut)
}

export function parseCut(stored: string): Cut {
  if (stored === '') return NOTHING
  const { until, handle } = JSON.parse(stored) as StoredCut
  const ids = new Set(handle)
  return {
    leavesOut: (eventId) => compareIds(eventId, until) <= 0 && !ids.has(eventId),
  }
}

const NOTHING: Cut = { leavesOut: () => false }
