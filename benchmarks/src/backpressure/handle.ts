import { setTimeout as sleep } from 'node:timers/promises'
import { channels, connect, type Millrace } from '@millrace/runtime'
import { serve } from '../harness/program.ts'
import { flightEventAt } from '../load/flight-event.ts'
import { type PolicyName, SWEEP_EVERY_MS, streamUnder } from './policies.ts'
import type { GroupProgram, HandleTask } from './program.ts'
import { SeenSequences } from './seen-sequences.ts'

const CONCURRENCY = 16
const GROUP = 'slow'
const MADE_UP_MS = 1_000

let millrace: Millrace
let policy: PolicyName
let everyMs = 0
/** When the next event may be done. */
let slotMs = 0
let acknowledged = 0
let leasesLost = 0
const seen = new SeenSequences(flightEventAt(0).sequence)

serve({
  async begin(task: HandleTask) {
    policy = task.policy
    everyMs = 1_000 / task.perSecond
    const { url, prefix } = task.place
    millrace = await connect(url, { prefix, sweepEveryMs: SWEEP_EVERY_MS })
    channels.acknowledged.subscribe(({ pending }) => {
      acknowledged += pending
    })
    channels.leaseChanged.subscribe(({ change }) => {
      if (change === 'lost') leasesLost += 1
    })
    const member = millrace
      .consumerGroup(streamUnder(policy), { name: GROUP, concurrency: CONCURRENCY })
      .start(async ({ data }) => {
        await nextSlot()
        seen.add(data.sequence)
      })
    await member.ready
  },

  async look() {
    const { groups } = await millrace.inspect(streamUnder(policy))
    const group = groups.find(({ name }) => name === GROUP)
    return {
      handled: seen.different,
      again: seen.again,
      leasesLost,
      acknowledged,
      expired: group?.expired ?? 0,
      waiting: (group?.lag.events ?? 0) + (group?.pending ?? 0),
      residentBytes: process.memoryUsage.rss(),
    }
  },

  letGo() {
    everyMs = 0
  },

  async end() {
    await millrace.close()
  },
} satisfies GroupProgram)

/** One slot for each event, whichever handler takes it; what a busy machine delays is made up for within a second. */
async function nextSlot(): Promise<void> {
  const nowMs = performance.now()
  slotMs = Math.max(slotMs + everyMs, nowMs - MADE_UP_MS)
  if (everyMs > 0 && slotMs > nowMs) await sleep(slotMs - nowMs)
}
