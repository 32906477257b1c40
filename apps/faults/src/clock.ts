/**
 * Milliseconds of the host's monotonic clock, with fractions: comparable between the processes of one
 * host, and not moved by whoever sets the time.
 */
export function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}
