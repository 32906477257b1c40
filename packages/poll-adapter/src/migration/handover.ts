import { compareIds, isMillraceError } from '@millrace/runtime'
import type { Ledger } from '../bridge/ledger.ts'
import { changeOf } from '../change/change.ts'
import { pollChannels } from '../diagnostics.ts'
import { messageOf } from '../errors.ts'
import { pause } from '../lifecycle/signals.ts'
import { absorb } from './absorb.ts'
import { formatCut } from './cut.ts'
import { locate } from './locate.ts'
import type { Seat } from './seat.ts'
import { type MigrationMode, modeOf } from './state.ts'

/** How long a living bridge over a snapshot may take for a fetch that began after the poller's last one. */
const FETCH_PATIENCE_MS = 30_000
const NO_FETCH = 'the bridge has not fetched the whole of its source again'
const NOT_BEGUN = 'no bridge has brought anything from its source yet'
const NO_BRIDGE = 'no process runs the bridge'
const LOOK_AGAIN_MS = 50
const MOST_TRIES = 20

/**
 * Hands the position over to the mode that is wanted, and makes it the acting one. Nothing acts meanwhile.
 * Answers why that cannot be done yet, or '' when it is done.
 */
export async function handOver<Item, Data>(
  seat: Seat<Item, Data>,
  signal: AbortSignal,
): Promise<string> {
  const { record } = seat.stored
  const from = record.acting.mode
  const to = modeOf(record.state, record.fallback)
  const fields: Record<string, string> = {
    mode: to,
    actingEpoch: String(record.epoch),
    waiting: '',
  }
  if (to === 'shadow' && from !== 'shadow') fields['report'] = ''
  if (from === 'stream' && to !== 'stream') {
    await leaveStream(seat, signal)
    Object.assign(fields, { cut: '', startId: '', notedId: '', consumer: '1' })
  }
  if (from !== 'stream' && to === 'stream') {
    const entry = await enterStream(seat, signal)
    if (typeof entry === 'string') return entry
    Object.assign(fields, entry)
  }
  await seat.note(fields)
  // From one state of the stream to another nothing was caught up with.
  if (from !== 'stream' || to !== 'stream') seat.isCaughtUp = true
  tellSwitched(seat, from, to)
  if (from === 'stream' && to !== 'stream') await forgetConsumer(seat, signal)
  return ''
}

/** Where the stream's mode begins, or why it cannot yet. */
async function enterStream<Item, Data>(
  seat: Seat<Item, Data>,
  signal: AbortSignal,
): Promise<Readonly<Record<string, string>> | string> {
  const { options, millrace, stream } = seat.scope
  const { cursors } = options.source
  const isSnapshot = cursors.kind === 'snapshot'
  const ledger = isSnapshot ? await freshFetch(seat, signal) : await seat.bridge(signal)
  if (typeof ledger === 'string') return ledger
  const facts = await millrace.inspect(stream, { signal })
  const place = locate(cursors, seat.position.cursor, seat.stored.bridgeFetches, ledger, facts)
  if (!place.found) return place.reason
  let cut = ''
  if (isSnapshot) {
    const found = await snapshotCut(seat, place.id, signal)
    if (found.reason !== '') return found.reason
    cut = found.cut
  }
  // One that is left from an earlier time in the stream would begin where that ended.
  const problem = await removeConsumer(seat, signal)
  if (problem !== '') return problem
  return { startId: place.id, notedId: place.id, cut, consumer: '1' }
}

/** Completes the position by what the stream's mode has handled and not stored. */
async function leaveStream<Item, Data>(seat: Seat<Item, Data>, signal: AbortSignal): Promise<void> {
  if (seat.isCaughtUp) return
  const { millrace, stream, options } = seat.scope
  const { consumers } = await millrace.inspect(stream, { signal })
  const consumer = consumers.find(({ name }) => name === options.name)
  const position = consumer?.position ?? seat.stored.notedId
  const doubted = new Set<string>()
  const { notedId } = seat.stored
  const isSnapshot = options.source.cursors.kind === 'snapshot'
  // What follows may have been handled by a holder that died: of a snapshot it counts as changed.
  const onOther = isSnapshot
    ? (event: Parameters<typeof changeOf>[0]): void => {
        const change = changeOf(event)
        if (change !== undefined) doubted.add(change.key)
      }
    : undefined
  await absorb(seat, notedId, (id) => compareIds(id, position) <= 0, signal, onOther)
  seat.position.doubt(doubted)
}

/**
 * Waits for a fetch of the bridge that began after the poller's last one: all it brought is newer. Answers why
 * there is none; nothing acts meanwhile, so a bridge that no process runs is waited for no longer than its lease.
 */
async function freshFetch<Item, Data>(
  seat: Seat<Item, Data>,
  signal: AbortSignal,
): Promise<Ledger | string> {
  const { clock } = seat.scope
  const endMs = clock.monotonicMs() + FETCH_PATIENCE_MS
  const { epoch } = seat.stored.record
  const { began, started } = await seat.bridge(signal)
  if (!began) return NOT_BEGUN
  if (!seat.bridgeIsOver)
    await seat.note({ waiting: 'the bridge has to fetch its source once more' })
  while (seat.mayAct(signal) && clock.monotonicMs() < endMs) {
    const ledger = await seat.bridge(signal)
    if (ledger.fetches > started) return ledger
    if (seat.bridgeIsOver) return NO_BRIDGE
    await pause(clock, LOOK_AGAIN_MS, signal)
    // Whoever switches back must not have to wait for a bridge that may never come.
    if ((await seat.look(signal)).record.epoch !== epoch) return NO_FETCH
  }
  return NO_FETCH
}

/**
 * Of each item that the bridge has seen otherwise than the poller, the event of its latest version still has
 * to be handled; every other event up to now is older than what was polled, or was overtaken.
 */
async function snapshotCut<Item, Data>(
  seat: Seat<Item, Data>,
  startId: string,
  signal: AbortSignal,
): Promise<{ readonly cut: string; readonly reason: string }> {
  for (let tries = 0; tries < MOST_TRIES; tries++) {
    const before = await seat.bridge(signal)
    const latest = await seat.bridgeItems(signal)
    const after = await seat.bridge(signal)
    if (before.lastId !== after.lastId) continue
    const until = after.lastId === '' ? '0-0' : after.lastId
    const wanted = differences(seat.position.known, latest)
    const events = await lastEvents(seat, startId, until, signal)
    const handle: string[] = []
    for (const [key, hash] of wanted) {
      const event = events.get(key)
      if (event?.hash !== hash) {
        return { cut: '', reason: `the stream does not have the latest version of ${key} yet` }
      }
      handle.push(event.id)
    }
    return { cut: formatCut(until, handle), reason: '' }
  }
  return { cut: '', reason: 'the source changes too fast to compare it with what was polled' }
}

/** Item and hash of all that are not as known; the hash of one that is gone is ''. */
function differences(
  known: ReadonlyMap<string, string>,
  latest: ReadonlyMap<string, string>,
): Map<string, string> {
  const differing = new Map<string, string>()
  for (const [key, hash] of latest) if (known.get(key) !== hash) differing.set(key, hash)
  for (const key of known.keys()) if (!latest.has(key)) differing.set(key, '')
  return differing
}

/** The last event of each item in a part of the stream. */
async function lastEvents<Item, Data>(
  seat: Seat<Item, Data>,
  afterId: string,
  untilId: string,
  signal: AbortSignal,
): Promise<Map<string, { readonly id: string; readonly hash: string }>> {
  const { millrace, stream } = seat.scope
  const last = new Map<string, { readonly id: string; readonly hash: string }>()
  const reader = millrace.reader(stream, {
    from: { id: afterId },
    live: false,
    onInvalid: 'skip',
    signal,
  })
  try {
    for await (const event of reader) {
      if (compareIds(event.id, untilId) > 0) break
      const change = changeOf(event)
      if (change !== undefined) last.set(change.key, { id: event.id, hash: change.hash })
    }
  } finally {
    await reader.close()
  }
  return last
}

/**
 * Removes the Consumer of a poller that is not fed by the stream any more: retention would go on waiting for it.
 * While the lease of a process that died is not over yet that cannot be done; it is tried again.
 */
export async function forgetConsumer<Item, Data>(
  seat: Seat<Item, Data>,
  signal: AbortSignal,
): Promise<void> {
  if (seat.stored.consumer === '') return
  if ((await removeConsumer(seat, signal)) === '') await seat.note({ consumer: '' })
}

/** Answers why it could not be removed. */
async function removeConsumer<Item, Data>(
  seat: Seat<Item, Data>,
  signal: AbortSignal,
): Promise<string> {
  const { millrace, stream, options } = seat.scope
  try {
    await millrace.removeConsumer(stream, options.name, { signal })
    return ''
  } catch (error) {
    if (!isMillraceError(error, 'NAME_IN_USE')) throw error
    return messageOf(error)
  }
}

/** Tells whoever listens who feeds the handler from now on. */
export function tellSwitched<Item, Data>(
  seat: Seat<Item, Data>,
  from: MigrationMode,
  to: MigrationMode,
): void {
  const { state, epoch, fallback } = seat.stored.record
  pollChannels.migrationSwitched.publish({
    stream: seat.scope.stream.name,
    poller: seat.scope.options.name,
    from,
    to,
    state,
    epoch,
    why: fallback,
  })
}
