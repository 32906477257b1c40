import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { waitFor } from '@millrace/testkit'
import type { MigrationState } from '@millrace/poll-adapter'
import { seededRandom } from '../child.ts'
import type { Kind } from '../flight-kinds.ts'
import { useRedis } from '../open-millrace.ts'
import { accountFor, type Account, MovingPoller } from './moving-poller.ts'

const bed = useRedis()
const seed = Math.floor(Math.random() * 1e9)
const random = seededRandom(seed)

/** The way to the stream and back, sometimes by every state. */
function round(): MigrationState[] {
  const there: MigrationState[] = random() < 0.3 ? ['shadow', 'stream-with-fallback'] : []
  return [...there, 'stream', random() < 0.2 ? 'shadow' : 'poll', 'poll']
}

async function manyRounds(kind: Kind, rounds: number, kills: boolean): Promise<Account> {
  const moving = await MovingPoller.start(bed, kind)
  moving.startLoad(100)
  await waitFor(() => moving.handled().length > 0, {
    describe: 'the first item',
    timeoutMs: 60_000,
  })
  for (let n = 0; n < rounds; n++) {
    for (const state of round()) {
      await moving.switchTo(state, async () => {
        await delay(random() * 40)
        if (!kills || random() < 0.88) return
        // Most often one that runs the poller, whether it acts or stands by.
        const [children, start] =
          random() < 0.8
            ? [moving.pollers, () => moving.startPoller()]
            : [moving.bridges, () => moving.startBridge()]
        const victim = Math.floor(random() * children.length)
        await children[victim]?.end()
        children[victim] = start()
      })
      await delay(random() * 60)
    }
  }
  await moving.stopLoad()
  const all = kind === 'snapshot' ? moving.source.latest() : moving.source.all()
  await waitFor(() => accountFor(all, moving.handled()).lost.length === 0, {
    describe: `everything to be handled (seed ${seed})`,
    everyMs: 100,
    timeoutMs: 120_000,
  }).catch((error: unknown) => {
    throw new Error(
      `${String(error)} ${JSON.stringify(accountFor(all, moving.handled()))} ${moving.complaints.slice(-5).join('; ')}`,
    )
  })
  return accountFor(all, moving.handled())
}

describe('a poller that is migrated and rolled back under load', () => {
  it('100 times at random moments with processes killed in between loses nothing and keeps the order of each item', async ({
    annotate,
  }) => {
    const account = await manyRounds('exact', 100, true)
    expect(account).toMatchObject({ lost: [], outOfOrder: [] })
    // At least once: only what was handled and not yet stored when a process was killed comes again.
    expect(account.repeated).toBeLessThan(account.events / 20)
    await annotate(
      `100 rounds, seed ${seed}: ${account.events} events, ${account.repeated} repeated`,
    )
  }, 900_000)

  it.each(['exact', 'overlap', 'border', 'snapshot'] as const)(
    'repeats nothing where no process is killed (%s)',
    async (kind) => {
      const account = await manyRounds(kind, 8, false)
      expect(account).toMatchObject({ lost: [], outOfOrder: [], repeated: 0 })
    },
    300_000,
  )

  it.each(['overlap', 'border', 'snapshot'] as const)(
    'loses nothing where processes are killed (%s)',
    async (kind) => {
      const account = await manyRounds(kind, 10, true)
      expect(account).toMatchObject({ lost: [], outOfOrder: [] })
    },
    300_000,
  )
})
