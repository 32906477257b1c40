import { expect, it } from 'vitest'
import { waitFor } from '@millrace/testkit'
import { range, readings } from './bed.ts'
import { describeConformance } from './describe-conformance.ts'

describeConformance('A process that is killed', (bed) => {
  it('as a consumer goes on where it stopped when it is started again, in order', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    const plan = {
      stream: stream.name,
      role: { is: 'consumer', name: 'board', leaseMs: 60_000, checkpointEvery: 10 },
    } as const
    await millrace.publish(stream, readings(1_000))
    const first = bed.worker(plan)
    await waitFor(() => first.handled.length >= 200, { describe: 'the first run' })
    await waitFor(async () => (await bed.state(stream, 'board'))['position'] !== '0-0', {
      describe: 'its position',
    })
    first.kill('SIGKILL')
    await first.end()
    // The first one may have been quick enough to handle them all.
    await millrace.publish(stream, readings(100, 1_000))
    const second = bed.worker(plan)
    await waitFor(() => second.handled.at(-1)?.n === 1_099, { describe: 'the second run' })
    const resumedAt = second.handled[0]?.n ?? 0
    const doneBefore = first.handled.length
    expect(first.handled.map(({ n }) => n)).toEqual(range(doneBefore))
    // Nothing is left out between the two; what comes again is at most what was not stored.
    expect(resumedAt).toBeGreaterThan(0)
    expect(resumedAt).toBeLessThanOrEqual(doneBefore)
    expect(second.handled.map(({ n }) => n)).toEqual(range(1_100 - resumedAt, resumedAt))
  })

  it('as a producer has lost nothing that was answered, and stored nothing twice', async () => {
    const stream = bed.stream()
    const plan = { stream: stream.name, role: { is: 'producer', producerId: 'board' } } as const
    const runs: number[][] = []
    for (const run of range(2)) {
      const producer = bed.worker(plan)
      await waitFor(() => producer.published.length >= 300, { describe: `run ${run}` })
      producer.kill('SIGKILL')
      await producer.end()
      runs.push(producer.published.map(({ n }) => n))
    }
    const stored = (await bed.stored(stream)).map(({ n }) => n)
    const secondStart = stored.indexOf(0, 1)
    const byRun = [stored.slice(0, secondStart), stored.slice(secondStart)]
    for (const [run, numbers] of byRun.entries()) {
      expect(numbers).toEqual(range(numbers.length))
      expect(numbers).toEqual(expect.arrayContaining(runs[run] ?? []))
    }
  })

  it('as a member leaves its events to the next one on this host, at once', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    await millrace.publish(stream, readings(10))
    const dead = bed.worker({
      stream: stream.name,
      role: { is: 'member', name: 'pool', leaseMs: 60_000, hangsAtFirst: true },
    })
    await waitFor(() => dead.handled.length === 1, { describe: 'the first member' })
    dead.kill('SIGKILL')
    await dead.end()
    const seen: number[] = []
    millrace
      .consumerGroup(stream, { name: 'pool', leaseMs: 60_000 })
      .start(({ data }) => void seen.push(data.n))
    // With leases of a minute only the process table can tell.
    await waitFor(() => seen.length === 10, { describe: 'all events' })
    expect(seen.toSorted((a, b) => a - b)).toEqual(range(10))
  })
})
