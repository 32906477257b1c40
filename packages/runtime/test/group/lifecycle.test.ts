import { expectNoLeaks, waitFor } from '@millrace/testkit'
import { afterAll, describe, expect, it } from 'vitest'
import { channels, type Handled } from '../../src/diagnostics.ts'
import { isMillraceError } from '../../src/errors.ts'
import { ConsumerGroup } from '../../src/group/group.ts'
import { compareIds } from '../../src/stream/stream-id.ts'
import { GroupTestbed } from './group-on-redis.ts'

const bed = await GroupTestbed.start()
afterAll(() => bed[Symbol.asyncDispose]())

const codeOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'resolved',
    (error: unknown) => (isMillraceError(error) ? error.code : error),
  )

describe('the options of a consumer group', () => {
  it('are refused with one error that lists all problems', () => {
    const core = bed.core()
    const options = {
      name: 'g',
      concurrency: 0,
      leaseMs: 10,
      from: { id: 'x' },
      backoff: { factor: 0 },
    }
    expect(() => new ConsumerGroup(core, bed.stream(), options)).toThrow(
      expect.objectContaining({
        code: 'OPTIONS_INVALID',
        issues: expect.toSatisfy((i: string[]) => i.length === 4),
      }),
    )
  })
})

describe('a member', () => {
  it('sends nothing before it is started, and can be closed then', async () => {
    const stream = bed.stream()
    const group = bed.group(bed.core(), stream, { name: 'g' })
    expect(group.state).toBe('idle')
    await group.close()
    expect(group.state).toBe('closed')
    await expect(codeOf(group.ready)).resolves.toBe('CLOSED')
    await expect(codeOf(group.done)).resolves.toBe('resolved')
    expect(await bed.client.exists(bed.key(stream))).toBe(0)
  })

  it('refuses calls that do not fit its state, naming the state', async () => {
    const group = bed.group(bed.core(), bed.stream(), { name: 'g' })
    group.start(() => undefined)
    expect(() => group.start(() => undefined)).toThrow(/running/)
    await group.close()
    expect(() => group.start(() => undefined)).toThrow(
      expect.objectContaining({ code: 'STATE_INVALID' }),
    )
    expect(() => group.pause()).toThrow(/closed/)
    expect(() => group.drain()).toThrow(/closed/)
  })

  it('answers the same promise to every close', async () => {
    const group = bed.group(bed.core(), bed.stream(), { name: 'g' })
    group.start(() => undefined)
    await group.ready
    const first = group.close()
    expect(group.close()).toBe(first)
    await expect(first).resolves.toEqual({ unfinished: [] })
    await group.closed
    await group.done
  })

  it('leaves no trace in Redis and no connection behind', async () => {
    const stream = bed.stream()
    await bed.append(stream, 20)
    const core = bed.core()
    const group = bed.group(core, stream, { name: 'g' })
    let handled = 0
    group.start(() => {
      handled++
    })
    await waitFor(() => handled === 20, { describe: 'all events' })
    expect(Object.keys(await bed.records(stream, 'g'))).toHaveLength(1)
    expect(core.connections.count().group).toBe(1)
    await group.close()
    expect(await bed.records(stream, 'g')).toEqual({})
    expect(await bed.consumers(stream, 'g')).toEqual([])
    expect(await bed.pending(stream, 'g')).toBe(0)
    expect(core.connections.count().group).toBe(0)
    core.connections.close()
    await expectNoLeaks(bed.server)
  })

  it('is closed by its signal, and by the end of all connections', async () => {
    const abort = new AbortController()
    const one = bed.group(bed.core(), bed.stream(), { name: 'g', signal: abort.signal })
    one.start(() => undefined)
    await one.ready
    abort.abort()
    await one.done
    expect(one.state).toBe('closed')

    const core = bed.core()
    const two = bed.group(core, bed.stream(), { name: 'g' })
    two.start(() => undefined)
    await two.ready
    core.connections.close()
    await two.done
    expect(two.state).toBe('closed')
  })

  it('starts nothing while any reason to pause remains', async () => {
    const stream = bed.stream()
    const group = bed.group(bed.core(), stream, { name: 'g' })
    const seen: string[] = []
    group.pause('user')
    group.pause('backpressure')
    group.start(({ id }) => {
      seen.push(id)
    })
    await group.ready
    const ids = await bed.append(stream, 10)
    group.resume('user')
    expect(group.pausedBy).toEqual(['backpressure'])
    // Another member gets all of them, which shows that the paused one reads nothing.
    const other = bed.group(bed.core(), stream, { name: 'g' })
    const others: string[] = []
    other.start(({ id }) => {
      others.push(id)
    })
    await waitFor(() => others.length === ids.length, { describe: 'the other member' })
    await other.close()
    expect(seen).toEqual([])
    const more = await bed.append(stream, 5)
    group.resume('backpressure')
    await waitFor(() => seen.length === more.length, { describe: 'the resumed member' })
    expect(seen).toEqual(more)
  })

  it('leaves events alone that come after it was paused in the middle of a blocking read', async () => {
    const stream = bed.stream()
    const group = bed.group(bed.core({ blockMs: 5_000 }), stream, { name: 'g' })
    const seen: string[] = []
    group.start(({ id }) => {
      seen.push(id)
    })
    const [first] = await bed.append(stream, 1)
    await waitFor(() => seen.length === 1, { describe: 'the first event' })
    group.pause()
    const blocked = async (): Promise<boolean> =>
      /flags=b .*cmd=xreadgroup/.test(String(await bed.client.client('LIST')))
    await waitFor(async () => !(await blocked()), { describe: 'the read to be ended' })
    await bed.append(stream, 3)
    expect(await bed.pending(stream, 'g')).toBe(0)
    expect(seen).toEqual([first])
    group.resume()
    await waitFor(() => seen.length === 4, { describe: 'the rest' })
  })

  it('finishes what runs and gives back the rest at once when it is closed', async () => {
    const stream = bed.stream()
    const ids = await bed.append(stream, 40)
    const gate = Promise.withResolvers<void>()
    const first: string[] = []
    const one = bed.group(bed.core(), stream, {
      name: 'g',
      concurrency: 2,
      prefetch: 40,
      leaseMs: 60_000,
    })
    one.start(async ({ id }) => {
      first.push(id)
      await gate.promise
    })
    await waitFor(() => first.length === 2, { describe: 'two handlers' })
    const second: string[] = []
    const two = bed.group(bed.core(), stream, { name: 'g', leaseMs: 60_000 })
    const closing = one.close()
    two.start(({ id }, { attempt }) => {
      expect(attempt).toBe(1)
      second.push(id)
    })
    await waitFor(() => second.length === 38, { describe: 'the rest to be taken' })
    gate.resolve()
    await expect(closing).resolves.toEqual({ unfinished: [] })
    await waitFor(async () => (await bed.pending(stream, 'g')) === 0, { describe: 'all acks' })
    expect([...first, ...second].toSorted(compareIds)).toEqual(ids)
    // The name under which events were given back goes as well.
    await waitFor(async () => (await bed.consumers(stream, 'g')).length === 1, {
      describe: 'clean-up',
    })
    expect(Object.keys(await bed.records(stream, 'g'))).toHaveLength(1)
  })

  it('reports handlers that outlive the deadline of closing, tells them, and hands their events back', async () => {
    const stream = bed.stream()
    const [id] = await bed.append(stream, 1)
    const gate = Promise.withResolvers<void>()
    const reasons: unknown[] = []
    const one = bed.group(bed.core(), stream, { name: 'g', leaseMs: 60_000 })
    const started = Promise.withResolvers<void>()
    one.start(async (_event, { signal }) => {
      signal.addEventListener('abort', () => reasons.push(signal.reason))
      started.resolve()
      await gate.promise
    })
    await started.promise
    const reports: Handled[] = []
    const off = channels.handled.subscribe((report) => reports.push(report))
    await expect(one.close({ deadlineMs: 50 })).resolves.toEqual({ unfinished: [id] })
    off()
    expect(reports).toMatchObject([{ id, ok: false, error: { code: 'ABORTED' } }])
    expect(reasons).toMatchObject([{ code: 'ABORTED' }])
    const two = bed.group(bed.core(), stream, { name: 'g', leaseMs: 60_000 })
    const again = Promise.withResolvers<boolean>()
    two.start((_event, { redelivered }) => {
      again.resolve(redelivered)
    })
    await expect(again.promise).resolves.toBe(true)
    gate.resolve()
  })

  it('drains: finishes what runs, takes nothing more, and says what was left at the deadline', async () => {
    const stream = bed.stream()
    const ids = await bed.append(stream, 10)
    const gate = Promise.withResolvers<void>()
    const seen: string[] = []
    const group = bed.group(bed.core(), stream, { name: 'g', prefetch: 10 })
    group.start(async ({ id }) => {
      seen.push(id)
      await gate.promise
    })
    await waitFor(() => seen.length === 1, { describe: 'a handler' })
    await expect(group.drain({ deadlineMs: 30 })).resolves.toEqual({ unfinished: [ids[0]] })
    expect(group.state).toBe('drained')
    gate.resolve()
    await waitFor(async () => (await bed.pending(stream, 'g')) < 10, {
      describe: 'its ack, under its lease',
    })
    await group.close()
    expect(seen).toEqual([ids[0]])
  })

  it('refuses a name that a consumer has', async () => {
    const stream = bed.stream()
    await bed.client.hset(`${bed.key(stream)}:state:board`, 'kind', 'consumer')
    const group = bed.group(bed.core(), stream, { name: 'board' })
    group.start(() => undefined)
    await expect(codeOf(group.ready)).resolves.toBe('NAME_IN_USE')
    await expect(codeOf(group.done)).resolves.toBe('NAME_IN_USE')
    await group.closed
    expect(await bed.client.hgetall(`${bed.key(stream)}:state:board`)).toEqual({ kind: 'consumer' })
  })

  it('refuses a key of another type', async () => {
    const stream = bed.stream()
    await bed.client.set(bed.key(stream), 'text')
    const group = bed.group(bed.core(), stream, { name: 'g' })
    group.start(() => undefined)
    await expect(codeOf(group.done)).resolves.toBe('KEY_TYPE')
  })
})

describe('the start position', () => {
  it('is resolved once, when the group is created', async () => {
    const stream = bed.stream()
    const old = await bed.append(stream, 3)
    const core = bed.core()
    const seen: Record<string, string[]> = { latest: [], earliest: [], id: [], time: [] }
    const from = {
      latest: 'latest',
      earliest: 'earliest',
      id: { id: old[0] ?? '' },
      time: { timeMs: Number(old[0]?.split('-')[0]) + 60_000 },
    } as const
    for (const [name, start] of Object.entries(from)) {
      const group = bed.group(core, stream, { name, from: start })
      group.start(({ id }) => {
        seen[name]?.push(id)
      })
      await group.ready
    }
    const fresh = await bed.append(stream, 2, 4)
    await waitFor(() => seen['earliest']?.length === 5 && seen['latest']?.length === 2, {
      describe: 'events',
    })
    await waitFor(() => seen['id']?.length === 4, { describe: 'events after the id' })
    expect(seen).toEqual({
      latest: fresh,
      earliest: [...old, ...fresh],
      id: [...old.slice(1), ...fresh],
      time: [],
    })
    // A second member does not begin anew, whatever it asks for.
    const again = bed.group(core, stream, { name: 'latest', from: 'earliest' })
    again.start(({ id }) => {
      seen['latest']?.push(id)
    })
    const last = await bed.append(stream, 4, 6)
    await waitFor(() => seen['latest']?.length === 6, { describe: 'the last events' })
    expect(seen['latest']?.toSorted()).toEqual([...fresh, ...last])
  })

  it('lets Redis tell the lag, also of a stream that was trimmed before', async () => {
    const stream = bed.stream()
    await bed.append(stream, 10)
    await bed.client.xtrim(bed.key(stream), 'MAXLEN', 4)
    const group = bed.group(bed.core(), stream, { name: 'g' })
    group.pause()
    group.start(() => undefined)
    await group.ready
    const [flat] = (await bed.client.xinfo('GROUPS', bed.key(stream))) as unknown[][]
    expect(flat?.slice(-4)).toEqual(['entries-read', 6, 'lag', 4])
  })
})
