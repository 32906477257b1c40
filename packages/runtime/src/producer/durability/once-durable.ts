import { MillraceError } from '../../errors.ts'
import type { OutgoingEvent } from '../encode.ts'
import { failLate } from '../outcome.ts'
import type { Answer, Batch } from '../window.ts'
import type { DurabilityConfirmations } from './confirmations.ts'

/**
 * What the window is to hear of a batch that was appended, once that is known to be durable. Until then it
 * counts as on its way: if a failover forgets it, it is sent again, in its place. Callers whose events were
 * late are told here; the batch is in the stream all the same.
 */
export async function answerOnceDurable(
  durability: DurabilityConfirmations,
  record: string,
  batch: Batch<OutgoingEvent>,
  appended: Answer,
  stream: string,
): Promise<Answer> {
  const became = await durability.confirm(record, lastOf(batch))
  if (became.is === 'gone') return { kind: 'lost', reason: became.reason }
  if (became.is === 'late') failLate(stream, batch, became.error)
  return appended
}

/** The same for a batch whose epoch is closed: it is not sent again, whatever comes. */
export async function whenDurableOrNot(
  durability: DurabilityConfirmations,
  record: string,
  batch: Batch<OutgoingEvent>,
  stream: string,
): Promise<void> {
  const became = await durability.confirm(record, lastOf(batch))
  if (became.is === 'durable') return
  const error =
    became.is === 'late'
      ? became.error
      : new MillraceError(
          'NOT_DURABLE',
          `The event was in the stream, but nobody can tell whether it still is: ${became.reason}`,
        )
  failLate(stream, batch, error)
}

function lastOf({ first, events }: Batch<OutgoingEvent>): number {
  return first + events.length - 1
}
