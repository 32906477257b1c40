import { setTimeout as delay } from 'node:timers/promises'
import type { ConsumerHandler } from '@millrace/runtime'
import { nowMs } from '../clock.ts'
import { type Beat, failsAtFirst } from '../load.ts'
import type { Journal } from '../proof/journal.ts'

/** An ordered handler waits for something every so many events. */
const WAITING_EVERY = 20
const ORDERED_WAIT_MS = 2
/** A member's handlers each wait, so that a member that dies always has events in hand. */
const MEMBER_WAIT_MS = 8

/** Writes down every event whose handling has succeeded. Handlers wait for something, and some fail at first. */
export function journaled(journal: Journal, kind: 'consumer' | 'group'): ConsumerHandler<Beat> {
  return async ({ data }, { attempt }) => {
    const { number, publishedAtMs } = data
    if (failsAtFirst(number) && attempt === 1) throw new Error('fails at the first attempt')
    if (kind === 'group') await delay(MEMBER_WAIT_MS)
    else if (number % WAITING_EVERY === 0) await delay(ORDERED_WAIT_MS)
    journal.append({ number, publishedAtMs, atMs: nowMs() })
  }
}
