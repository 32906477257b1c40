/** Milliseconds since 1970 with fractions: fine enough for latencies, comparable between the processes of one host. */
export function nowMs(): number {
  return performance.timeOrigin + performance.now()
}
