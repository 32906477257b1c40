import { channels } from '@millrace/runtime'
import { standing } from '../declarations/standing.ts'
import type { Board } from './board.ts'

/** Follows leases, loops, connections, the tail and retention; the answer ends that. */
export function watchStanding(board: Board): () => void {
  const batch = board.histogram(standing.tailBatch)
  const members = board.values(standing.tailMembers)
  const leases = board.values(standing.leaseChanges)
  const positions = board.values(standing.positionChanges)
  const failures = board.values(standing.loopFailures)
  const opened = board.values(standing.connectionsOpened)
  const closed = board.values(standing.connectionsClosed)
  const swept = board.values(standing.sweptEvents)
  const unread = board.values(standing.sweptUnread)
  const abandoned = board.values(standing.abandoned)
  const offs = [
    channels.tailRead.subscribe(({ events }) => {
      // A read that came back empty has only waited.
      if (events > 0) batch.at().observe(events)
    }),
    channels.tailMembership.subscribe(({ stream, joined }) => {
      members.at(stream).value += joined ? 1 : -1
    }),
    channels.leaseChanged.subscribe(({ stream, name, change }) => {
      leases.at(stream, name, change).value++
    }),
    channels.positionChanged.subscribe(({ stream, name, change }) => {
      positions.at(stream, name, change).value++
    }),
    channels.loopFailed.subscribe(({ loop }) => {
      failures.at(loop).value++
    }),
    channels.connectionOpened.subscribe(({ purpose }) => {
      opened.at(purpose).value++
    }),
    channels.connectionClosed.subscribe(({ purpose }) => {
      closed.at(purpose).value++
    }),
    channels.swept.subscribe((fact) => {
      swept.at(fact.stream).value += fact.removed
      unread.at(fact.stream).value += fact.unread
    }),
    channels.abandoned.subscribe(({ stream, name }) => {
      abandoned.at(stream, name).value++
    }),
  ]
  return () => {
    for (const off of offs) off()
  }
}
