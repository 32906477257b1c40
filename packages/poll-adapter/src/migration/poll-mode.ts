import { type Found, readPage } from '../bridge/paging.ts'
import type { Cursor } from '../change/cursor.ts'
import { isPollAdapterError } from '../errors.ts'
import { pause } from '../lifecycle/signals.ts'
import type { Seat } from './seat.ts'

/** Of a snapshot: so many items are put in doubt, handled, and noted, before the next so many. */
const MOST_IN_DOUBT = 200

/** Told of each change that was handled. */
export type Witness<Item> = (found: Found<Item>) => void

/**
 * Polls the source and hands what is new to the handler, item by item, until the signal fires; what is
 * being handled then is finished first. The position counts only what was handled, and is stored after
 * each page.
 */
export async function pollMode<Item, Data>(
  seat: Seat<Item, Data>,
  signal: AbortSignal,
  poked: () => AbortSignal,
  witness: Witness<Item> = () => undefined,
): Promise<void> {
  const { options, clock } = seat.scope
  while (seat.mayAct(signal)) {
    const wake = AbortSignal.any([signal, poked()])
    try {
      await pollOnce(seat, signal, witness)
    } catch (error) {
      if (signal.aborted) return
      seat.report(error)
      if (!isPollAdapterError(error, 'SOURCE_FAILED') && !(error instanceof HandlerFailure))
        throw error
    }
    await pause(clock, options.intervalMs, wake)
  }
}

/** A handler's own error; the item comes again at the next poll. */
class HandlerFailure extends Error {
  override readonly name: string = 'HandlerFailure'
}

async function pollOnce<Item, Data>(
  seat: Seat<Item, Data>,
  signal: AbortSignal,
  witness: Witness<Item>,
): Promise<void> {
  const { options } = seat.scope
  const { source, pageSize, fetchTimeoutMs, maxDeletedShare } = options
  const isSnapshot = source.cursors.kind === 'snapshot'
  // What the bridge has completed by now is older than what this poll will see.
  const seen = isSnapshot ? { bridgeFetches: String((await seat.bridge(signal)).fetches) } : {}
  for (let from: Cursor | undefined = seat.position.from; ; ) {
    const read = await readPage(source, seat.position, from, {
      signal,
      limit: pageSize,
      timeoutMs: fetchTimeoutMs,
      maxDeletedShare,
      returned: 'take',
    })
    const isDone = await handleAll(seat, signal, read.news, isSnapshot, witness)
    if (isDone) seat.position.passBorder(read.end)
    if (seat.position.isDirty || isSnapshot) await seat.note(isDone ? seen : {})
    if (!isDone || !read.more || !seat.mayAct(signal)) return
    from = read.end
  }
}

/** Answers whether all were handled. */
async function handleAll<Item, Data>(
  seat: Seat<Item, Data>,
  signal: AbortSignal,
  news: readonly Found<Item>[],
  isSnapshot: boolean,
  witness: Witness<Item>,
): Promise<boolean> {
  const { checkpointEvery } = seat.scope.options
  for (const [i, found] of news.entries()) {
    if (isSnapshot && i % MOST_IN_DOUBT === 0)
      await putInDoubt(seat, news.slice(i, i + MOST_IN_DOUBT))
    else if (!isSnapshot && i > 0 && i % checkpointEvery === 0) await seat.note()
    if (!seat.mayAct(signal)) return false
    try {
      await seat.handle(found.item, found.change)
    } catch (error) {
      // What was handled before it stays handled.
      if (seat.position.isDirty) await seat.note()
      throw new HandlerFailure(`The handler failed for ${found.change.id}`, { cause: error })
    }
    seat.position.take(found.change)
    witness(found)
  }
  return true
}

/**
 * An item that was handled, but not noted before a crash, may by then look again as it did before: it would
 * not count as changed. So it is noted first that nobody knows what was handled last.
 */
async function putInDoubt<Item, Data>(
  seat: Seat<Item, Data>,
  found: readonly Found<Item>[],
): Promise<void> {
  seat.position.doubt(found.map(({ change }) => change.key))
  await seat.note()
}
