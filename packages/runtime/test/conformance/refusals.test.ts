import { expect, it } from 'vitest'
import { waitFor } from '@millrace/testkit'
import type { ConformanceBed } from './bed.ts'
import { range, readings } from './bed.ts'
import { describeConformance } from './describe-conformance.ts'

/** A user of all servers, who may do what the rules say. */
async function addUser(bed: ConformanceBed, name: string, ...rules: string[]): Promise<void> {
  for (const server of bed.topology.servers) {
    await server.client().call('ACL', 'SETUSER', name, 'on', '>secret', ...rules)
    bed.onClose(() => server.client().call('ACL', 'DELUSER', name))
  }
}

describeConformance('A refusal of the server', (bed) => {
  it('for a wrong password is AUTH_FAILED, at once', async () => {
    await addUser(bed, 'clerk', '~*', '+@all')
    const address = bed.topology.addressFor('clerk', 'wrong')
    await expect(bed.open({}, address)).rejects.toMatchObject({ code: 'AUTH_FAILED' })
  })

  it('for want of a right is PERMISSION_DENIED for what needs it, and nothing else', async () => {
    await addUser(bed, 'guest', '~*', '+@all', '-xadd', '-xgroup|create')
    const guest = await bed.open({}, bed.topology.addressFor('guest', 'secret'))
    const owner = await bed.open()
    const stream = bed.stream()
    await owner.publish(stream, readings(3))
    await expect(guest.publish(stream, { n: 3 })).rejects.toMatchObject({
      code: 'PERMISSION_DENIED',
    })
    const consumer = guest.consumer(stream, { name: 'board' }).start(() => undefined)
    await expect(consumer.done).rejects.toMatchObject({ code: 'PERMISSION_DENIED' })
    const group = guest.consumerGroup(stream, { name: 'pool' }).start(() => undefined)
    await expect(group.done).rejects.toMatchObject({ code: 'PERMISSION_DENIED' })
    const seen: number[] = []
    for await (const { data } of guest.reader(stream, { from: 'earliest', live: false }))
      seen.push(data.n)
    expect(seen).toEqual(range(3))
  })

  it('for want of memory keeps nobody from working off what is there', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    const consumer = millrace.consumer(stream, { name: 'board', leaseMs: 600, maxAttempts: 1 })
    const group = millrace.consumerGroup(stream, { name: 'pool', leaseMs: 600, maxAttempts: 1 })
    consumer.pause()
    group.pause()
    const seen: Record<string, number[]> = { board: [], pool: [] }
    const handler =
      (name: string) =>
      ({ data }: { data: { n: number } }) => {
        seen[name]?.push(data.n)
        if (data.n === 2) throw new Error('becomes a dead letter')
      }
    await consumer.start(handler('board')).ready
    await group.start(handler('pool')).ready
    const results = await millrace.publish(stream, readings(5))
    const redis = await bed.redis(stream)
    await redis.config('SET', 'maxmemory', '1')
    bed.onClose(() => redis.config('SET', 'maxmemory', '0'))
    consumer.resume()
    group.resume()
    await waitFor(async () => (await bed.state(stream, 'board'))['position'] === results[4]?.id, {
      describe: 'the position of the consumer',
    })
    const image = async (): Promise<unknown> => {
      const { lag, pending } = await bed.image(stream, 'pool')
      return lag === 0 && pending === 0
    }
    await waitFor(image, { describe: 'the acks of the group' })
    expect(seen).toEqual({ board: range(5), pool: range(5) })
    for (const name of ['board', 'pool']) {
      expect(await redis.xlen(bed.key(stream, `:dead:${name}`))).toBe(1)
    }
  })

  it('to write just now is waited out', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    await millrace.publish(stream, { n: 0 })
    const redis = await bed.redis(stream)
    await redis.config('SET', 'min-replicas-to-write', '9')
    const allow = (): Promise<unknown> => redis.config('SET', 'min-replicas-to-write', '0')
    bed.onClose(allow)
    const published = millrace.publish(stream, { n: 1 })
    const refused = async (): Promise<boolean> =>
      /errorstat_NOREPLICAS:count=[1-9]/.test(await redis.info('errorstats'))
    await waitFor(refused, { describe: 'the refusal' })
    await allow()
    await published
    expect((await bed.stored(stream)).map(({ n }) => n)).toEqual([0, 1])
  })
})
