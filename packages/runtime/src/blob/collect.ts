import type { Core } from '../core.ts'
import { throwIfAborted } from '../lifecycle/signals.ts'
import type { StreamKeys } from '../stream/keys.ts'
import { isNamespace, latestMsOf } from './blob-key.ts'
import type { BlobStore } from './blob-store.ts'
import { blobHorizon, type Horizon, references } from './collect-scripts.ts'

export interface CollectOptions {
  /** How often the blobs of one stream are collected, by whichever process. @defaultValue 10 minutes */
  readonly periodMs?: number
  /** For how much longer than needed a blob is kept: for clocks that jump. @defaultValue two hours */
  readonly marginMs?: number
  readonly signal?: AbortSignal
}

export interface Collected {
  readonly removed: number
  readonly bytes: number
  /** Blobs that the stream needs no more, and dead letters or redriven events do. */
  readonly kept: number
}

const PERIOD_MS = 600_000
const MARGIN_MS = 7_200_000

/**
 * Removes the blobs of a stream that nothing refers to any more. The key of a blob has the latest time at
 * which an event with it can have been published, so all whose time lies before the stream's first event
 * have left the stream; dead letters and redriven events are asked in addition. Undefined when it is not
 * time, when there is no store, or when letters moved while they were looked at: then the next time will do.
 */
export async function collectBlobs(
  core: Core,
  keys: StreamKeys,
  options: CollectOptions = {},
): Promise<Collected | undefined> {
  const store = core.options.blobStore
  if (store === undefined) return undefined
  const { periodMs = PERIOD_MS, marginMs = MARGIN_MS } = options
  const signal = options.signal ?? core.connections.closed
  const horizon = await core.connections.call(
    'data',
    keys.tag,
    (session) => blobHorizon(session, keys, periodMs),
    { signal },
  )
  if (horizon === undefined) return undefined
  let needed: ReadonlySet<string> | undefined
  let [removed, bytes, kept] = [0, 0, 0]
  for await (const blob of outdated(store, horizon, marginMs, signal)) {
    needed ??= await neededByLetters(core, keys, horizon.names, signal)
    if (needed === undefined) return undefined
    throwIfAborted(signal, 'Collecting blobs')
    if (needed.has(blob.key)) {
      kept++
      continue
    }
    await store.delete(blob.key, { signal })
    removed++
    bytes += blob.bytes
  }
  return { removed, bytes, kept }
}

/** Removes all blobs of a namespace, whoever refers to them; answers how many. */
export async function removeAllBlobs(
  store: BlobStore,
  namespace: string,
  signal: AbortSignal,
): Promise<number> {
  let removed = 0
  if (!isNamespace(namespace)) return removed
  for await (const { key } of store.list(`${namespace}/`, { signal })) {
    throwIfAborted(signal, 'Removing blobs')
    await store.delete(key, { signal })
    removed++
  }
  return removed
}

/** Keys sort by time, so the first that is too young ends the listing. */
async function* outdated(
  store: BlobStore,
  { namespace, beforeMs }: Horizon,
  marginMs: number,
  signal: AbortSignal,
): AsyncGenerator<{ readonly key: string; readonly bytes: number }, void, undefined> {
  if (!isNamespace(namespace)) return
  for await (const blob of store.list(`${namespace}/`, { signal })) {
    const latestMs = blob.key.startsWith(`${namespace}/`) ? latestMsOf(blob.key) : undefined
    // What we have not named is not ours to remove.
    if (latestMs === undefined) continue
    if (latestMs + marginMs >= beforeMs) return
    yield blob
  }
}

/**
 * What dead letters and redriven events refer to; undefined when a letter was redriven meanwhile. A letter
 * is always in one of the two streams: redriven events first, so that one which comes back to the dead
 * letters is met there, and one that goes the other way is noticed by the count of the redrive stream.
 */
async function neededByLetters(
  core: Core,
  keys: StreamKeys,
  names: readonly string[],
  signal: AbortSignal,
): Promise<ReadonlySet<string> | undefined> {
  const needed = new Set<string>()
  const look = async (key: string): Promise<number> => {
    let first: number | undefined
    for (let from = '-'; from !== ''; ) {
      const start = from
      const page = await core.connections.call(
        'data',
        keys.tag,
        (session) => references(session, key, start),
        { signal },
      )
      for (const blob of page.blobs) needed.add(blob)
      first ??= page.added
      from = page.next
    }
    return first ?? 0
  }
  for (const name of names) {
    const before = await look(keys.redrive(name))
    await look(keys.dead(name))
    if ((await look(keys.redrive(name))) !== before) return undefined
  }
  return needed
}
