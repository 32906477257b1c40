import { setTimeout as delay } from 'node:timers/promises'
import type { ConsumerHandler } from '@millrace/runtime'
import { nowMs } from '../clock.ts'
import { type Beat, failsAtFirst } from '../load.ts'
import type { Journal } from '../proof/journal.ts'

/** Every so many events the handler waits for something, as handlers do. */
const WAITING_EVERY = 20
const WAIT_MS = 2

/** Writes down every event whose handling has succeeded. Now and then it waits or fails at first. */
export function journaled(journal: Journal): ConsumerHandler<Beat> {
  return async ({ data }, { attempt }) => {
    const { number, publishedAtMs } = data
    if (failsAtFirst(number) && attempt === 1) throw new Error('fails at the first attempt')
    if (number % WAITING_EVERY === 0) await delay(WAIT_MS)
    journal.append({ number, publishedAtMs, atMs: nowMs() })
  }
}
