import { waitFor } from '@millrace/testkit'
import { afterAll, describe, expect, it } from 'vitest'
import { GroupTestbed } from './group-on-redis.ts'

const bed = await GroupTestbed.start()
afterAll(() => bed[Symbol.asyncDispose]())

describe('a consumer group', () => {
  it('hands each event to exactly one of its members', async () => {
    const stream = bed.stream()
    const ids = await bed.append(stream, 2_000)
    const seen: string[][] = [[], [], []]
    for (const mine of seen) {
      const group = bed.group(bed.core(), stream, { name: 'workers', concurrency: 4 })
      group.start(async ({ id }) => {
        await Promise.resolve()
        mine.push(id)
      })
      await group.ready
    }
    ids.push(...(await bed.append(stream, 2_000, 2_001)))
    await waitFor(() => seen.flat().length >= ids.length, { describe: 'all events' })
    await waitFor(async () => (await bed.pending(stream, 'workers')) === 0, {
      describe: 'all acks',
    })
    expect(seen.flat().toSorted()).toEqual(ids.toSorted())
    for (const mine of seen) expect(mine.length).toBeGreaterThan(0)
  })

  it('gives every group all events', async () => {
    const stream = bed.stream()
    const ids = await bed.append(stream, 50)
    const core = bed.core()
    const seen: string[][] = [[], []]
    for (const [i, mine] of seen.entries()) {
      bed.group(core, stream, { name: `group-${i}` }).start(({ id }) => {
        mine.push(id)
      })
    }
    await waitFor(() => seen.every((mine) => mine.length === ids.length), {
      describe: 'both groups',
    })
    expect(seen).toEqual([ids, ids])
  })
})
