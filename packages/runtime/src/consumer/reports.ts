import { channels } from '../diagnostics.ts'
import type { Grant } from './acquire-script.ts'

interface Whose {
  readonly streamName: string
  readonly options: { readonly name: string }
}

/** The position on the server is not, or not shown, where it was thought to be. */
export function reportPosition(
  { streamName: stream, options: { name } }: Whose,
  change: 'group-recreated' | 'rewound',
  from: string,
  to: string,
  detail: string,
): void {
  channels.positionChanged.publish({ stream, name, change, from, to, detail })
}

/** The native group had to be made again, at the position that is stored. */
export function reportNewImage(whose: Whose, from: string, to: string): void {
  const detail = 'the Redis consumer group that shows this position had vanished'
  reportPosition(whose, 'group-recreated', from, to, detail)
}

/** With the lease came a position that is not where it was left. */
export function reportGrant(
  stream: string,
  name: string,
  { note, positionBefore, position }: Grant,
): void {
  if (note === '' || note === 'created') return
  channels.positionChanged.publish({
    stream,
    name,
    change: note === 'recreated' ? 'recreated' : 'group-recreated',
    from: positionBefore,
    to: position,
    detail: GRANT_NOTES[note],
  })
}

const GRANT_NOTES = {
  image: 'the Redis consumer group that shows this position had vanished',
  recreated: 'the stream was created anew; the consumer begins at its start',
  restored: 'the state had vanished; the consumer goes on where it was',
} as const

/** The position was stored, so many events further on. */
export function reportCheckpoint(
  { streamName: stream, options: { name } }: Whose,
  position: string,
  events: number,
  durationMs: number,
): void {
  channels.checkpointed.publish({ stream, name, position, events, durationMs })
}

/** Reading was interrupted, and goes on once the server has confirmed what is known here. */
export function reportInterruption(
  { streamName: stream, options: { name } }: Whose,
  reason: string,
): void {
  channels.loopFailed.publish({ loop: 'consumer', stream, name, error: new Error(reason) })
}
