/** What the doctor looks at. */
export type Check =
  | 'access'
  | 'clients'
  | 'clock'
  | 'cluster'
  | 'durability'
  | 'eviction'
  | 'keepalive'
  | 'memory'
  | 'output-buffer'
  | 'persistence'
  | 'replicas'
  | 'rights'
  | 'role'
  | 'server'
  | 'timeout'
  | 'visibility'

/**
 * - `ok`: as it should be.
 * - `info`: fine as long as it is known and wanted.
 * - `warning`: will hurt on a bad day.
 * - `critical`: events can be lost, or nothing works.
 */
export type Severity = 'critical' | 'info' | 'ok' | 'warning'

export interface Finding {
  readonly check: Check
  readonly severity: Severity
  /** What was found, in one sentence. */
  readonly found: string
  /** What to do; undefined where there is nothing to do. */
  readonly remedy: string | undefined
}

export function ok(check: Check, found: string): Finding {
  return { check, severity: 'ok', found, remedy: undefined }
}

export function finding(
  check: Check,
  severity: Exclude<Severity, 'ok'>,
  found: string,
  remedy: string,
): Finding {
  return { check, severity, found, remedy }
}

const ORDER: readonly Severity[] = ['critical', 'warning', 'info', 'ok']

/** The worst first. */
export function bySeverity(findings: readonly Finding[]): Finding[] {
  return findings.toSorted((a, b) => ORDER.indexOf(a.severity) - ORDER.indexOf(b.severity))
}
