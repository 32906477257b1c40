import { channels } from '@millrace/runtime'
import { readerOf } from '../cast/parts.ts'
import { beats } from '../load.ts'
import type { Act, Props } from './act.ts'
import { journaled } from './journaled.ts'

/** The board's keys and a group's members handle this many events side by side. */
const CONCURRENCY = 8
const BACKOFF = { firstMs: 20, greatestMs: 200 } as const

/** Takes part in a reader: as the consumer or its standby, or as a member of the group. */
export function reading({ name, settings, millrace, journal, tell }: Props): Act {
  const part = readerOf(name)
  if (part === undefined) throw new Error(`${name} reads nothing`)
  const { reader, kind, order } = part
  const stream = beats(settings.stream)
  const shared = { name: reader, leaseMs: settings.leaseMs, backoff: BACKOFF } as const
  const offClaimed = channels.claimed.subscribe(({ expired }) => {
    if (expired > 0) tell({ is: 'expired', events: expired })
  })
  const one =
    kind === 'group'
      ? millrace
          .consumerGroup(stream, { ...shared, member: name, concurrency: CONCURRENCY })
          .start(journaled(journal, kind))
      : millrace
          .consumer(stream, {
            ...shared,
            ...(order === 'key' ? { order, concurrency: CONCURRENCY } : {}),
          })
          .start(journaled(journal, kind))
  return {
    ready: one.ready,
    done: one.done,
    quiet: () => Promise.resolve({}),
    close: () => {
      offClaimed()
      return one.close()
    },
  }
}
