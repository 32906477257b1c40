import { randomBytes } from 'node:crypto'
import type { MillraceError } from '../errors.ts'
import type { EventStream } from '../stream/define-stream.ts'
import type { OutgoingEvent } from './encode.ts'

export type PublishableStream = Pick<
  EventStream<never, unknown>,
  'codec' | 'colocate' | 'limits' | 'name' | 'partitions' | 'retention'
>

/** Told when everything that waits must be given up. */
export type GiveUpAll = (error: MillraceError) => void

/** What the producer hands its events to. */
export interface Sender {
  /** Begins with what earlier processes have left, if that is kept at all. */
  start(): void
  /** Takes events in order; they are sent at the end of this tick, or when there is room. */
  offer(event: OutgoingEvent): void
  /** How many events have no sequence yet. */
  readonly unsent: number
  /** Lets go of events that were given up. */
  prune(): void
  /** Keeps events on disk, as long as the stream is under pressure. */
  press(isPressed: boolean): void
  /** Sends nothing more; resolves once everything is let go of. */
  stop(deadlineMs: number): Promise<void> | undefined
}

/** Whether a producer with a spool cannot go on: what waits outside the spool is given up as well. */
export function isEnd({ code }: MillraceError): boolean {
  return code === 'CLOSED' || code === 'SPOOL_EXPIRED'
}

/** The name of a producer that was given none, and of each epoch. */
export function randomName(): string {
  return randomBytes(9).toString('base64url')
}
