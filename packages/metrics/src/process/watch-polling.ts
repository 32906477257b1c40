import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { polling } from '../declarations/polling.ts'
import type { Board } from './board.ts'

/** The channels of the poll adapter that are followed: by name, for it need not be installed. */
export const pollChannelNames = {
  migrationSwitched: 'millrace:poll:migration:switched',
  shadowCompared: 'millrace:poll:migration:shadow',
  pollerFailed: 'millrace:poll:poller:failed',
  bridgePolled: 'millrace:poll:bridge:polled',
  bridgeFailed: 'millrace:poll:bridge:failed',
  feedPolled: 'millrace:poll:feed:polled',
  feedRefused: 'millrace:poll:feed:refused',
  itemUnreachable: 'millrace:poll:feed:unreachable',
  snapshotChanged: 'millrace:poll:snapshot:changed',
} as const

/** What shadows find, and what it is called in labels. */
const OUTCOMES = {
  matched: 'matched',
  onlyPoll: 'only_poll',
  onlyStream: 'only_stream',
  outOfOrder: 'out_of_order',
  differing: 'differing',
} as const

/** Follows what the poll adapter tells; the answer ends that. */
export function watchPolling(board: Board): () => void {
  const names = pollChannelNames
  const state = board.values(polling.migrationState)
  const states = new Map<string, Set<string>>()
  const offs = [
    on(names.migrationSwitched, ({ text }) => {
      const [stream, poller, now] = [text('stream'), text('poller'), text('state')]
      const key = `${stream}\0${poller}`
      const known = states.get(key) ?? new Set()
      states.set(key, known.add(now))
      for (const one of known) state.at(stream, poller, one).value = one === now ? 1 : 0
      board.values(polling.migrationSwitches).at(stream, poller, text('to')).value++
    }),
    on(names.shadowCompared, ({ text, number }) => {
      // It tells what it has found in all; one that begins anew is a counter that was reset.
      for (const [found, outcome] of Object.entries(OUTCOMES)) {
        const series = board.values(polling.shadow).at(text('stream'), text('poller'), outcome)
        series.value = number(found)
      }
    }),
    on(names.pollerFailed, ({ text }) => {
      const at = [text('stream'), text('poller'), text('mode')]
      board.values(polling.pollerFailures).at(...at).value++
    }),
    on(names.bridgePolled, ({ text, number }) => {
      const at = [text('stream'), text('bridge')]
      board.values(polling.bridgePolls).at(...at).value++
      board.values(polling.bridgeChanges).at(...at).value += number('changes')
    }),
    on(names.bridgeFailed, ({ text }) => {
      board.values(polling.bridgeFailures).at(text('stream'), text('bridge')).value++
    }),
    on(names.feedPolled, ({ text, number }) => {
      const at = [text('stream'), text('feed')]
      board.values(polling.feedPolls).at(...at, text('source')).value++
      board.values(polling.feedItems).at(...at).value += number('items')
      board
        .histogram(polling.feedWait)
        .at(...at)
        .observe(number('waitedMs') / 1_000)
    }),
    on(names.feedRefused, ({ text }) => {
      board.values(polling.feedRefusals).at(text('stream'), text('feed'), text('code')).value++
    }),
    on(names.itemUnreachable, ({ text }) => {
      board.values(polling.feedUnreachable).at(text('stream'), text('feed')).value++
    }),
    on(names.snapshotChanged, ({ text, number }) => {
      const at = [text('stream'), text('snapshot')]
      board.values(polling.snapshotKeys).at(...at).value = number('keys')
      board.values(polling.snapshotBytes).at(...at).value = number('bytes')
      board.values(polling.snapshotChanges).at(...at, text('change')).value++
    }),
  ]
  return () => {
    for (const off of offs) off()
  }
}

/** What a message says; of an adapter of another version, something may be missing. */
interface Fields {
  readonly text: (name: string) => string
  readonly number: (name: string) => number
}

function on(name: string, follow: (fields: Fields) => void): () => void {
  const onMessage = (message: unknown): void => {
    const fields = message as Readonly<Record<string, unknown>>
    follow({
      text: (field) => (typeof fields[field] === 'string' ? fields[field] : ''),
      number: (field) => (typeof fields[field] === 'number' ? fields[field] : 0),
    })
  }
  subscribe(name, onMessage)
  return () => {
    unsubscribe(name, onMessage)
  }
}
