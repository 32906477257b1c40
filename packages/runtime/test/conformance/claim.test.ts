import { expect, it } from 'vitest'
import { waitFor } from '@millrace/testkit'
import { channels, compareIds } from '../../src/index.ts'
import { range, readings } from './bed.ts'
import { describeConformance } from './describe-conformance.ts'

describeConformance('A claim', (bed) => {
  it('takes over what a killed member held, once its lease was seen to run out', async () => {
    const millrace = await bed.open({ sameHostTakeover: false })
    const stream = bed.stream()
    const results = await millrace.publish(stream, readings(30))
    const dead = bed.worker({
      stream: stream.name,
      role: { is: 'member', name: 'pool', leaseMs: 800, hangsAtFirst: true },
      sameHostTakeover: false,
    })
    await waitFor(() => dead.handled.length === 1, { describe: 'the first member' })
    const claims = bed.gather(channels.claimed)
    const changes = bed.gather(channels.leaseChanged)
    const seen: string[] = []
    const again: string[] = []
    const member = millrace.consumerGroup(stream, { name: 'pool', leaseMs: 800 })
    member.start(({ id }, { redelivered }) => {
      seen.push(id)
      if (redelivered) again.push(id)
    })
    await member.ready
    dead.kill('SIGKILL')
    await waitFor(() => new Set(seen).size === 30, { describe: 'all events' })
    await waitFor(async () => (await bed.image(stream, 'pool'))['pending'] === 0, {
      describe: 'all acks',
    })
    expect([...new Set(seen)].toSorted(compareIds)).toEqual(results.map(({ id }) => id))
    expect(again.length).toBe(claims.reduce((sum, { events }) => sum + events, 0))
    expect(again).toContain(dead.handled[0]?.id)
    expect(changes).toContainEqual(
      expect.objectContaining({ change: 'taken-over', reason: 'lease-expired' }),
    )
    await waitFor(async () => (await bed.image(stream, 'pool'))['consumers'] === 1, {
      describe: 'the name of the dead to go',
    })
  })

  it('takes at once what a member gave back when it was closed', async () => {
    const stream = bed.stream()
    const first = await bed.open()
    await first.publish(stream, readings(20))
    const started = Promise.withResolvers<void>()
    const gate = Promise.withResolvers<void>()
    const leaving = first.consumerGroup(stream, { name: 'pool', leaseMs: 60_000 })
    const seen: number[] = []
    leaving.start(async ({ data }) => {
      started.resolve()
      await gate.promise
      seen.push(data.n)
    })
    await started.promise
    const closing = leaving.close()
    gate.resolve()
    expect(await closing).toEqual({ unfinished: [] })
    expect(seen).toEqual([0])
    const attempts: number[] = []
    const second = await bed.open()
    second
      .consumerGroup(stream, { name: 'pool', leaseMs: 60_000 })
      .start(({ data }, { attempt }) => {
        attempts.push(attempt)
        seen.push(data.n)
      })
    await waitFor(() => seen.length === 20, { describe: 'the other events' })
    expect(seen.toSorted((a, b) => a - b)).toEqual(range(20))
    expect(new Set(attempts)).toEqual(new Set([1]))
  })

  it('leaves a sleeper nothing: it can neither acknowledge nor go on under its old name', async () => {
    const millrace = await bed.open({ sameHostTakeover: false })
    const stream = bed.stream()
    await millrace.publish(stream, readings(6))
    const sleeper = bed.worker({
      stream: stream.name,
      role: { is: 'member', name: 'pool', leaseMs: 600, hangsAtFirst: true },
      sameHostTakeover: false,
    })
    await waitFor(() => sleeper.handled.length === 1, { describe: 'the sleeper' })
    const first = sleeper.handled[0]?.id ?? ''
    sleeper.kill('SIGSTOP')
    const seen: number[] = []
    const gate = Promise.withResolvers<void>()
    bed.onClose(() => gate.resolve())
    const member = millrace.consumerGroup(stream, { name: 'pool', member: 'heir', leaseMs: 600 })
    member.start(async ({ id, data }) => {
      seen.push(data.n)
      if (id === first) await gate.promise
    })
    await waitFor(() => seen.includes(0), { describe: 'the claim' })
    const redis = await bed.redis(stream)
    const holder = async (): Promise<unknown> => {
      const reply = await redis.xpending(bed.key(stream), 'pool', first, first, 1)
      return (reply as [id: string, consumer: string][])[0]?.[1]
    }
    sleeper.kill('SIGCONT')
    // Awake again, it ends its handler with success and joins anew: that success must not count.
    await waitFor(async () => (await bed.image(stream, 'pool'))['consumers'] === 2, {
      describe: 'the sleeper to come back under another name',
    })
    const later = await millrace.publish(stream, readings(6, 6))
    await waitFor(() => sleeper.handled.length + seen.length >= later.length, {
      describe: 'later events',
    })
    expect(await holder()).toMatch(/^heir:/)
    gate.resolve()
    await waitFor(async () => (await bed.image(stream, 'pool'))['pending'] === 0, {
      describe: 'all acks',
    })
    expect(new Set([...seen, ...sleeper.handled.map(({ n }) => n)])).toEqual(new Set(range(12)))
  })
})
