import type { Core } from '../core.ts'
import type { StreamKeys } from '../stream/keys.ts'
import { acquire, type AcquireAnswer, type AcquireRequest } from './acquire-script.ts'

/** What the server said about the lease, and when it was asked, by the monotonic clock. */
export interface LeaseAnswer {
  readonly answer: AcquireAnswer
  readonly sentMs: number
}

/** Asks the server for the lease of a consumer, until it answers or the signal fires. */
export async function askForLease(
  { clock, connections }: Core,
  keys: StreamKeys,
  request: AcquireRequest,
  signal: AbortSignal,
): Promise<LeaseAnswer> {
  let sentMs = 0
  const answer = await connections.call(
    'control',
    keys.tag,
    async (session) => {
      sentMs = clock.monotonicMs()
      const reply = await acquire(session, keys, request)
      if (!reply.held || !reply.token.endsWith(`-${request.nonce}`)) return reply
      // The lease was granted to this very request, and only the answer was lost.
      return await acquire(session, keys, {
        ...request,
        expected: { token: reply.token },
        own: true,
      })
    },
    { signal },
  )
  return { answer, sentMs }
}
