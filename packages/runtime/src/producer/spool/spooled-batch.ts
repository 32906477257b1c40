import { crc32 } from 'node:zlib'
import type { OutgoingEvent } from '../encode.ts'
import { PublishCall } from '../publish-call.ts'

/** One batch as it lies in a spool file: cut once, and sent like that however often. */
export interface SpooledBatch {
  /** Its place in the file, from 1 on, without holes. */
  readonly position: number
  /** The sequence of its first event, under the epoch of the file. */
  readonly first: number
  readonly count: number
  /** The size of its events as Redis stores them. */
  readonly bytes: number
  /** When it was spooled, in milliseconds since 1970. */
  readonly atMs: number
  /** The events as JSON, readable for somebody who has to rescue a file. */
  readonly events: string
}

/** Covers everything about a batch that never changes. */
export function contentChecksum(batch: Omit<SpooledBatch, 'first'>): number {
  const { position, count, bytes, atMs, events } = batch
  return crc32(events, crc32(`${position} ${count} ${bytes} ${atMs}\n`))
}

/** Ties a batch to its sequence and its epoch, which change together. */
export function numberingChecksum(epoch: string, position: number, first: number): number {
  return crc32(`${epoch} ${position} ${first}`)
}

type StoredValue = string | { readonly base64: string }
type StoredEvent = readonly [
  names: readonly string[],
  values: readonly StoredValue[],
  idempotencyKey?: string,
]

export function eventsToText(events: readonly OutgoingEvent[]): string {
  return JSON.stringify(
    events.map(({ names, values, idempotencyKey }): StoredEvent => {
      const stored = values.map((value) =>
        typeof value === 'string' ? value : { base64: value.toString('base64') },
      )
      return idempotencyKey === undefined ? [names, stored] : [names, stored, idempotencyKey]
    }),
  )
}

/** The events again; whoever published them has had an answer. */
export function eventsFromText(text: string, bytes: number, startedMs: number): OutgoingEvent[] {
  const stored = JSON.parse(text) as readonly StoredEvent[]
  const call = answeredCall(startedMs)
  return stored.map(([names, values, idempotencyKey], index) => ({
    call,
    index,
    idempotencyKey,
    names,
    values: values.map((value) =>
      typeof value === 'string' ? value : Buffer.from(value.base64, 'base64'),
    ),
    bytes: index === 0 ? bytes : 0,
  }))
}

function answeredCall(startedMs: number): PublishCall {
  const nothing = (): void => undefined
  const call = new PublishCall(0, startedMs, startedMs, nothing, nothing, nothing)
  call.settled = true
  return call
}
