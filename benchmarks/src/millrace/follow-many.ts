import { connect } from '@millrace/runtime'
import { serve } from '../harness/program.ts'
import { Countdown } from '../load/countdown.ts'
import type { FollowersProgram, FollowersTask } from '../resources/program.ts'
import { timedStream } from './timed.ts'

// Consumers of one process, in default options.
const countdown = new Countdown()
let failed: Promise<unknown>

serve({
  async open({ followers, place }: FollowersTask) {
    const millrace = await connect(place.url, { prefix: place.prefix })
    const consumers = Array.from({ length: followers }, (_, index) =>
      millrace.consumer(timedStream(), { name: `c-${process.pid}-${index}` }).start(() => {
        countdown.see()
      }),
    )
    failed = Promise.race(consumers.map(({ done }) => done))
    failed.catch(() => undefined)
    await Promise.all(consumers.map(({ ready }) => ready))
  },

  pollEvery() {
    // Nobody polls here.
  },

  async handled(events: number) {
    await Promise.race([countdown.reaches(events), failed])
  },
} satisfies FollowersProgram)
