import { removeAllBlobs } from '../blob/collect.ts'
import { evaluate } from '../connection/script.ts'
import type { Core, StreamLike } from '../core.ts'
import { MillraceError } from '../errors.ts'
import { lookTwice } from '../retention/look-twice.ts'
import type { StreamKeys } from '../stream/keys.ts'
import { deleteScript } from './delete-script.ts'
import type { ResolvedDeleteOptions } from './options.ts'

export interface DeleteReport {
  readonly dryRun: boolean
  /** How many events the stream had. */
  readonly events: number
  /** The keys of Redis that were deleted, or would be. */
  readonly keys: readonly string[]
  /** How many blobs were removed from the blob store; 0 in a dry run. */
  readonly blobs: number
}

/** What the script answers where there is nothing: `OK`, no events, no namespace, and no keys. */
const EMPTY_REPLY = 3

/** @throws MillraceError `NAME_IN_USE` */
export async function deleteStream(
  core: Core,
  stream: StreamLike,
  { evenIfInUse, blobs, dryRun, signal }: ResolvedDeleteOptions,
): Promise<DeleteReport> {
  const keys = core.keysOf(stream)
  const companions = await extensionKeys(core, keys, signal)
  const ask = (seen: string, mode: '' | '1'): Promise<readonly unknown[]> =>
    core.connections.call(
      'data',
      keys.tag,
      (session) =>
        evaluate(
          session,
          deleteScript,
          [keys.stream, keys.meta, keys.producers, ...keys.idempotency, ...companions],
          [evenIfInUse ? '*' : seen, mode],
        ),
      { signal },
    ) as Promise<readonly unknown[]>
  // Asked before, because nobody can tell any more when the answer to the deletion is lost.
  const before = await ask('', '1')
  const look = async (seen: string): Promise<readonly unknown[]> => {
    if (dryRun) return before
    const reply = await ask(seen, '')
    return reply[0] === 'OK' && reply.length === EMPTY_REPLY ? before : reply
  }
  const [outcome, ...reply] = (await lookTwice(core, look, signal, 'Deleting')).map(String)
  if (outcome === 'HELD') {
    const names = reply.slice(2).join(', ')
    throw new MillraceError(
      'NAME_IN_USE',
      `At work on ${stream.name}: ${names}; close them first`,
      {
        stream: stream.name,
      },
    )
  }
  const [events, namespace = '', ...deleted] = reply
  const store = core.options.blobStore
  let removed = 0
  if (!dryRun && blobs === 'delete' && store !== undefined) {
    for (const one of new Set([namespace, String(before[2])]))
      removed += await removeAllBlobs(store, one, signal ?? core.connections.closed)
  }
  return { dryRun, events: Number(events), keys: deleted, blobs: removed }
}

/** Keys of other packages beside the stream; nothing else knows what they are called. */
async function extensionKeys(
  core: Core,
  { stream, tag }: StreamKeys,
  signal: AbortSignal | undefined,
): Promise<string[]> {
  const pattern = `${stream.replaceAll(/[[\]*?^\\]/g, '\\$&')}:x:*`
  const found = new Set<string>()
  let cursor = '0'
  do {
    const from = cursor
    const reply = (await core.connections.call(
      'data',
      tag,
      (session) => session.client.call('scan', from, 'MATCH', pattern, 'COUNT', 1_000),
      { signal },
    )) as [unknown, readonly unknown[]]
    cursor = String(reply[0])
    for (const key of reply[1]) found.add(String(key))
  } while (cursor !== '0')
  return [...found].toSorted()
}
