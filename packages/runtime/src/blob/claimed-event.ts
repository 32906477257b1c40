import type { Core, StreamLike } from '../core.ts'
import { MillraceError } from '../errors.ts'
import type { OutgoingEvent } from '../producer/encode.ts'
import type { PublishCall } from '../producer/publish-call.ts'
import type { EventStream } from '../stream/define-stream.ts'
import { entryBytes } from '../stream/entry.ts'
import { blobFields, type BlobReference } from './reference.ts'

/** An event whose payload goes to the blob store first. */
interface ClaimedEvent extends OutgoingEvent {
  /** Undefined once it is in the store. */
  payload: Buffer | undefined
  /** Puts the reference into the event, in place of the payload. */
  refer(reference: BlobReference): void
}

type ClaimingStream = StreamLike & Pick<EventStream, 'claimCheck'>

const NAMES: readonly string[] = [blobFields.key, blobFields.bytes, blobFields.sha256]

/**
 * The event as it goes to the stream when its payload is larger than the stream wants; undefined when it
 * fits. The payload is the first of the values.
 * @throws MillraceError `PAYLOAD_TOO_LARGE`
 */
export function claimedEvent(
  stream: ClaimingStream,
  event: OutgoingEvent,
): OutgoingEvent | undefined {
  const { claimCheck, limits } = stream
  const [data = ''] = event.values
  if (claimCheck === undefined) return undefined
  // A text takes no more bytes than three for each of its characters.
  if (event.bytes <= limits.maxPayloadBytes && data.length * 3 <= claimCheck.aboveBytes)
    return undefined
  const size = Buffer.byteLength(data)
  if (event.bytes <= limits.maxPayloadBytes && size <= claimCheck.aboveBytes) return undefined
  if (size > claimCheck.maxBytes)
    throw tooLarge(stream.name, 'A payload', size, claimCheck.maxBytes)
  const beside = event.bytes - size
  if (beside > limits.maxPayloadBytes) {
    throw tooLarge(
      stream.name,
      'What lies beside the payload of an event',
      beside,
      limits.maxPayloadBytes,
    )
  }
  const values = ['', '', '', ...event.values.slice(1)]
  const claimed: ClaimedEvent = {
    ...event,
    names: [...NAMES, ...event.names.slice(1)],
    values,
    // The reference has about one size, whatever it will be.
    bytes: beside + entryBytes([...NAMES, 'k'.repeat(stream.name.length + 80), 's'.repeat(72)]),
    payload: typeof data === 'string' ? Buffer.from(data) : data,
    refer({ key, bytes, sha256 }) {
      values[0] = key
      values[1] = String(bytes)
      values[2] = sha256
      claimed.payload = undefined
    },
  }
  return claimed
}

/**
 * Stores the payloads of a call that belong elsewhere, once the inputs are known to be valid. Undefined when
 * there are none. Giving up the call gives up storing.
 * @throws MillraceError `BLOB_STORE_ABSENT`
 */
export function storePayloads(
  core: Core,
  stream: ClaimingStream,
  call: PublishCall,
  events: readonly OutgoingEvent[],
  spoolAgeMs: number,
  verdict: unknown,
): Promise<void> | undefined {
  if (stream.claimCheck === undefined) return undefined
  const claimed = events.filter(isClaimed)
  if (claimed.length === 0) return undefined
  for (const { payload } of claimed) core.uploads.assertStore(stream.name, payload?.length ?? 0)
  return Promise.resolve(verdict).then(() => storeAll(core, stream, call, claimed, spoolAgeMs))
}

async function storeAll(
  core: Core,
  stream: ClaimingStream,
  call: PublishCall,
  claimed: readonly ClaimedEvent[],
  spoolAgeMs: number,
): Promise<void> {
  if (call.settled) return
  const stop = new AbortController()
  const { offSignal } = call
  call.offSignal = () => {
    offSignal?.()
    stop.abort()
  }
  try {
    await Promise.all(
      claimed.map(async (event) => {
        const { payload } = event
        if (payload === undefined) return
        const mostDelayMs = Math.max(call.dueMs - core.clock.monotonicMs(), 0) + spoolAgeMs
        const request = { keys: core.keysOf(stream), stream: stream.name, content: payload }
        event.refer(await core.uploads.upload({ ...request, mostDelayMs, signal: stop.signal }))
      }),
    )
  } catch (error) {
    stop.abort()
    throw error
  }
}

function isClaimed(event: OutgoingEvent): event is ClaimedEvent {
  return 'payload' in event
}

function tooLarge(stream: string, what: string, bytes: number, most: number): MillraceError {
  return new MillraceError(
    'PAYLOAD_TOO_LARGE',
    `${what} of ${stream} has ${bytes} bytes; at most ${most} are allowed`,
    { stream },
  )
}
