import { z } from 'zod'

/** An event that says when it was sent, 200 bytes long give or take the digits of its numbers. */
export const timedEvent = z.object({
  sequence: z.number().int(),
  sentUs: z.number(),
  remark: z.string(),
})

export type TimedEvent = z.infer<typeof timedEvent>

const REMARK = 'x'.repeat(140)

export function timedEventAt(sequence: number): TimedEvent {
  return { sequence, sentUs: nowUs(), remark: REMARK }
}

/** Microseconds by a clock that all processes of one machine share and that is never set back. */
export function nowUs(): number {
  return Number(process.hrtime.bigint() / 1_000n)
}
