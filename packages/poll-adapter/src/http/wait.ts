import type { Parameters } from './parameters.ts'

export interface WaitParameter {
  /** The name of the parameter. @defaultValue 'wait' */
  readonly name: string
  /** What its numbers count. @defaultValue 's' */
  readonly unit: 'ms' | 's'
}

export interface Wait {
  /** Undefined when the client asked for none. */
  readonly waitMs: number | undefined
  /** For `Preference-Applied`; undefined when nothing was preferred, or a parameter decided. */
  readonly applied: string | undefined
}

/** How long the client is ready to wait: a parameter first, then `Prefer: wait=…` (RFC 7240). */
export function readWait(
  parameters: Parameters,
  prefer: string | null,
  parameter: WaitParameter,
  maxWaitMs: number,
): Wait {
  const asked = parameters.number(parameter.name, 0)
  if (asked !== undefined) {
    const waitMs = asked * (parameter.unit === 's' ? 1_000 : 1)
    return { waitMs: Math.min(waitMs, maxWaitMs), applied: undefined }
  }
  const preferred = preferredWaitS(prefer)
  if (preferred === undefined) return { waitMs: undefined, applied: undefined }
  // Preferences are whole seconds; what is applied may be less than what was preferred.
  const seconds = Math.min(preferred, Math.floor(maxWaitMs / 1_000))
  return { waitMs: seconds * 1_000, applied: `wait=${seconds}` }
}

/** The first preference of that name counts; what is not understood is ignored, as the RFC asks. */
function preferredWaitS(prefer: string | null): number | undefined {
  for (const preference of (prefer ?? '').split(',')) {
    const match = /^\s*wait\s*=\s*"?(\d{1,9})"?\s*(?:;.*)?$/i.exec(preference)
    if (match !== null) return Number(match[1])
  }
  return undefined
}
