import { channels, isMillraceError } from '@millrace/runtime'
import { producing } from '../declarations/producing.ts'
import type { Board } from './board.ts'

const LEVELS = ['normal', 'high', 'critical'] as const

/** Follows what producers tell; the answer ends that. */
export function watchProducing(board: Board, nowMs: () => number): () => void {
  const published = board.values(producing.published)
  const bytes = board.values(producing.publishedBytes)
  const duplicates = board.values(producing.duplicates)
  const failed = board.values(producing.publishFailed)
  const duration = board.histogram(producing.publishDuration)
  const stalls = board.values(producing.publishStalls)
  const pressure = board.values(producing.pressure)
  const adopted = board.values(producing.spoolAdopted)
  const offs = [
    channels.published.subscribe((fact) => {
      published.at(fact.stream).value += fact.events - fact.duplicates
      bytes.at(fact.stream).value += fact.bytes
      duplicates.at(fact.stream).value += fact.duplicates
      duration.at(fact.stream).observe(fact.durationMs / 1_000)
    }),
    channels.publishFailed.subscribe(({ stream, events, error }) => {
      failed.at(stream, isMillraceError(error) ? error.code : 'INTERNAL').value += events
    }),
    channels.publishStalled.subscribe(({ stream }) => {
      stalls.at(stream).value++
    }),
    channels.pressureChanged.subscribe(({ stream, level }) => {
      for (const one of LEVELS) pressure.at(stream, one).value = one === level ? 1 : 0
    }),
    channels.spoolAdopted.subscribe(({ stream, events }) => {
      adopted.at(stream).value += events
    }),
    watchSpools(board, nowMs),
  ]
  return () => {
    for (const off of offs) off()
  }
}

function watchSpools(board: Board, nowMs: () => number): () => void {
  const spooling = board.values(producing.spooling)
  const events = board.values(producing.spoolEvents)
  const bytes = board.values(producing.spoolBytes)
  const age = board.values(producing.spoolAge)
  /** Since when the oldest event of each spool has been there. */
  const since = new Map<string, { readonly at: readonly [string, string]; readonly ms: number }>()
  board.onRefresh(() => {
    for (const { at, ms } of since.values()) age.at(...at).value = (nowMs() - ms) / 1_000
  })
  return channels.spoolChanged.subscribe((fact) => {
    const at = [fact.stream, fact.producerId] as const
    spooling.at(...at).value = fact.spooling ? 1 : 0
    events.at(...at).value = fact.events
    bytes.at(...at).value = fact.bytes
    age.at(...at).value = fact.oldestAgeMs / 1_000
    if (fact.events > 0) since.set(at.join('\0'), { at, ms: nowMs() - fact.oldestAgeMs })
    else since.delete(at.join('\0'))
  })
}
