import type { Event } from '@millrace/runtime'
import { changeOf } from '../change/change.ts'
import { parseCut } from './cut.ts'
import type { Seat } from './seat.ts'

/**
 * Counts events as handled that are stored after the id, in their order, as long as they belong; calls back
 * for each one that does not.
 */
export async function absorb<Item, Data>(
  seat: Seat<Item, Data>,
  afterId: string,
  belongs: (id: string) => boolean,
  signal: AbortSignal,
  onOther?: (event: Event<Data>) => void,
): Promise<void> {
  const { millrace, stream } = seat.scope
  const cut = parseCut(seat.stored.cut)
  const reader = millrace.reader(stream, {
    from: afterId === '' ? 'earliest' : { id: afterId },
    live: false,
    onInvalid: 'skip',
    signal,
  })
  try {
    for await (const event of reader) {
      if (!belongs(event.id)) {
        if (onOther === undefined) return
        onOther(event)
        continue
      }
      const change = changeOf(event)
      if (change === undefined || cut.leavesOut(event.id)) continue
      if (seat.position.knows(change)) seat.position.meet(change)
      else seat.position.take(change)
      seat.position.passBorder(change.cursor)
    }
  } finally {
    await reader.close()
  }
}
