import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from '@millrace/runtime'
import { serve } from '../harness/program.ts'
import { Journal } from '../load/journal.ts'
import { nowUs, type TimedEvent } from '../load/timed-event.ts'
import type { FollowerProgram, FollowTask } from '../recovery/program.ts'
import { timedStream } from './timed.ts'

// A Consumer or a member in a process that may die at any moment.
/** A member that dies has some under way. */
const MEMBER_HANDLER_MS = 100
/** Enough for one member to follow alone. */
const MEMBER_CONCURRENCY = 32

serve({
  async open({ place, journal: path, as, leaseMs, sameHostTakeover }: FollowTask) {
    const journal = new Journal(path, 3)
    const note = ({ sequence, sentUs }: TimedEvent): void => {
      journal.append(sequence, sentUs, nowUs())
    }
    const millrace = await connect(place.url, { prefix: place.prefix, sameHostTakeover })
    const stream = timedStream()
    const options = { name: 'bench', leaseMs }
    const one =
      as === 'consumer'
        ? millrace.consumer(stream, options).start(({ data }) => {
            note(data)
          })
        : millrace
            .consumerGroup(stream, { ...options, concurrency: MEMBER_CONCURRENCY })
            .start(async ({ data }) => {
              await sleep(MEMBER_HANDLER_MS)
              note(data)
            })
    await one.ready
  },
} satisfies FollowerProgram)
