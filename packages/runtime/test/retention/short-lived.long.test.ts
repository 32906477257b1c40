import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { waitFor } from '@millrace/testkit'
import { useRedis } from '../open-millrace.ts'
import { anHourLater } from './ageing.ts'

const bed = useRedis()

const HOURS = 2
const PER_HOUR = 20
const AT_ONCE = 4

interface Sizes {
  readonly keys: readonly string[]
  readonly groups: number
  readonly members: number
  readonly fields: number
  readonly consumerFields: number
}

// The month is in accumulation.long.test.ts, with the scripts that these processes call. Here are some hours of it with
// real processes, half of which are killed.

it('hours of real processes, every other one killed, leave nothing behind that grows', async () => {
  const stream = bed.stream()
  const key = bed.key(stream)
  const sizes: Sizes[] = []
  for (let hour = 0; hour < HOURS; hour++) {
    for (let i = 0; i < PER_HOUR; i += AT_ONCE) {
      await Promise.all(
        Array.from({ length: AT_ONCE }, (_, k) => oneLife(stream.name, k % 2 === 0)),
      )
    }
    // Somebody is there to take over from those who died in the end.
    const millrace = await bed.open({ sweepEveryMs: 500 })
    const member = millrace
      .consumerGroup(stream, { name: 'pool', leaseMs: 2_000 })
      .start(() => undefined)
    await member.ready
    await waitFor(async () => (await membersOf(key)) === 1, {
      describe: 'the dead members to be removed',
    })
    await millrace.close()
    await anHourLater(bed.redis, `${key}:state:pool`)
    sizes.push(await sizesOf(key))
  }
  const [first, ...later] = sizes
  expect(first?.groups).toBe(2)
  for (const hour of later) {
    expect(hour.keys).toEqual(first?.keys)
    expect(hour.groups).toBe(2)
    expect(hour.members).toBeLessThanOrEqual(1)
    // Of one hour there are the records of who was killed; all others have gone with theirs.
    expect(hour.fields).toBeLessThanOrEqual((first?.fields ?? 0) + PER_HOUR / 2)
    expect(hour.consumerFields).toBeLessThanOrEqual((first?.consumerFields ?? 0) + 2)
  }
}, 180_000)

/** Runs a process until it has handled something, and ends it as it should be or not. */
async function oneLife(stream: string, isKilled: boolean): Promise<void> {
  const settings = JSON.stringify({ url: bed.server.url, stream })
  const child = fork(fileURLToPath(new URL('short-lived.ts', import.meta.url)), [settings], {
    execArgv: ['--conditions=millrace-source'],
  })
  const exited = once(child, 'exit')
  await once(child, 'message')
  child.kill(isKilled ? 'SIGKILL' : 'SIGTERM')
  await exited
}

async function membersOf(key: string): Promise<number> {
  return ((await bed.redis.xinfo('CONSUMERS', key, 'pool')) as unknown[]).length
}

async function sizesOf(key: string): Promise<Sizes> {
  return {
    keys: (await bed.redis.keys('*')).toSorted(),
    groups: ((await bed.redis.xinfo('GROUPS', key)) as unknown[]).length,
    members: await membersOf(key),
    fields: await bed.redis.hlen(`${key}:state:pool`),
    consumerFields: await bed.redis.hlen(`${key}:state:board`),
  }
}
