import { expect, it } from 'vitest'
import { waitFor } from '@millrace/testkit'
import { channels } from '../../src/index.ts'
import { range, readings } from './bed.ts'
import { describeConformance } from './describe-conformance.ts'

describeConformance('A lease', (bed) => {
  it('has one holder; the others stand by, and one of them is handed it on close', async () => {
    const stream = bed.stream()
    const tokens = new Set<string>()
    const seen: number[] = []
    const open = async () => {
      const millrace = await bed.open()
      const consumer = millrace.consumer(stream, { name: 'board' }).start(({ data }, { lease }) => {
        tokens.add(lease.token)
        seen.push(data.n)
      })
      await consumer.ready
      return { millrace, consumer }
    }
    const first = await open()
    const second = await open()
    await first.millrace.publish(stream, readings(10))
    await waitFor(() => seen.length === 10, { describe: 'the first events' })
    expect([first.consumer.state.is, second.consumer.state.is]).toEqual(['holding', 'standby'])
    expect(tokens.size).toBe(1)
    await first.consumer.close()
    await first.millrace.publish(stream, readings(10, 10))
    await waitFor(() => seen.length === 20, { describe: 'the events of the second holder' })
    expect(second.consumer.state.is).toBe('holding')
    expect(seen).toEqual(range(20))
    const [before, after, ...others] = [...tokens].map((token) => Number.parseInt(token, 10))
    expect(after).toBeGreaterThan(before ?? Number.NaN)
    expect(others).toEqual([])
  })

  it('of a process that was killed is taken over by observation, within one and a half leases', async () => {
    const stream = bed.stream()
    const millrace = await bed.open({ sameHostTakeover: false })
    await millrace.publish(stream, readings(20))
    const dead = bed.worker({
      stream: stream.name,
      role: { is: 'consumer', name: 'board', leaseMs: 800 },
      sameHostTakeover: false,
    })
    await waitFor(() => dead.handled.length === 20, { describe: 'the first holder' })
    const seen: number[] = []
    const standby = millrace.consumer(stream, { name: 'board', leaseMs: 800 })
    const changes = bed.gather(channels.leaseChanged)
    await standby.start(({ data }) => void seen.push(data.n)).ready
    expect(standby.state.is).toBe('standby')
    dead.kill('SIGKILL')
    await millrace.publish(stream, readings(20, 20))
    await waitFor(() => seen.includes(39), { describe: 'the second holder' })
    expect(changes.map(({ change }) => change)).toEqual(['taken-over', 'acquired'])
    // What the first had handled and not stored comes again; nothing is left out, and order is kept.
    expect(seen).toEqual(range(40 - (seen[0] ?? 0), seen[0]))
    expect(seen[0]).toBeLessThanOrEqual(20)
  })

  it('of a dead process on the same host is taken over at the next look', async () => {
    const stream = bed.stream()
    const millrace = await bed.open()
    const dead = bed.worker({
      stream: stream.name,
      role: { is: 'consumer', name: 'board', leaseMs: 60_000 },
    })
    await dead.ready
    dead.kill('SIGKILL')
    await dead.end()
    const changes = bed.gather(channels.leaseChanged)
    const standby = millrace
      .consumer(stream, { name: 'board', leaseMs: 60_000 })
      .start(() => undefined)
    // With leases of a minute only the process table can tell.
    await waitFor(() => standby.state.is === 'holding' && changes.length >= 2, {
      describe: 'the lease',
    })
    expect(changes.map(({ change }) => change)).toEqual(['taken-over', 'acquired'])
  })

  it('that was lost in a long sleep moves nothing: the sleeper is refused and stands by', async () => {
    const stream = bed.stream()
    const millrace = await bed.open({ sameHostTakeover: false })
    await millrace.publish(stream, readings(5))
    const sleeper = bed.worker({
      stream: stream.name,
      role: { is: 'consumer', name: 'board', leaseMs: 600 },
      sameHostTakeover: false,
    })
    await waitFor(() => sleeper.handled.length === 5, { describe: 'the sleeper' })
    sleeper.kill('SIGSTOP')
    const seen: number[] = []
    // Long enough that a busy machine does not take it from the one that is awake.
    const other = millrace.consumer(stream, { name: 'board', leaseMs: 3_000 })
    other.start(({ data }) => void seen.push(data.n))
    await millrace.publish(stream, readings(5, 5))
    await waitFor(() => seen.at(-1) === 9, { describe: 'the other one' })
    sleeper.kill('SIGCONT')
    const results = await millrace.publish(stream, readings(5, 10))
    await waitFor(() => seen.at(-1) === 14, { describe: 'later events' })
    await waitFor(async () => (await bed.state(stream, 'board'))['position'] === results[4]?.id, {
      describe: 'the position of the holder',
    })
    expect(other.state.is).toBe('holding')
    expect(seen.slice(-10)).toEqual(range(10, 5))
    expect(new Set(sleeper.handled.map(({ token }) => token)).size).toBe(1)
    expect(sleeper.handled.map(({ n }) => n)).toEqual(range(5))
  })

  it('is refused to a group of the same name, and the other way round', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    await millrace.consumer(stream, { name: 'board' }).start(() => undefined).ready
    await millrace.consumerGroup(stream, { name: 'pool' }).start(() => undefined).ready
    const group = millrace.consumerGroup(stream, { name: 'board' }).start(() => undefined)
    const consumer = millrace.consumer(stream, { name: 'pool' }).start(() => undefined)
    await expect(group.done).rejects.toMatchObject({ code: 'NAME_IN_USE' })
    await expect(consumer.done).rejects.toMatchObject({ code: 'NAME_IN_USE' })
  })
})
