import { waitFor } from '@millrace/testkit'
import { afterAll, describe, expect, it } from 'vitest'
import { channels, type Claimed } from '../../src/diagnostics.ts'
import { connect } from '../../src/index.ts'
import type { EventStream } from '../../src/stream/define-stream.ts'
import { compareIds } from '../../src/stream/stream-id.ts'
import { GroupTestbed, type Order } from './group-on-redis.ts'

// What others had to learn from their users; LESSONS.md says which lesson each of these is about.

const bed = await GroupTestbed.start()
afterAll(() => bed[Symbol.asyncDispose]())

async function settled(stream: EventStream<Order, Order>, group = 'g'): Promise<void> {
  await waitFor(async () => (await bed.pending(stream, group)) === 0, {
    describe: 'all to be settled',
  })
}

/** How often Redis was asked for something, in all. */
async function calls(...commands: readonly string[]): Promise<number> {
  const stats = String(await bed.client.info('commandstats'))
  return commands.reduce((sum, command) => {
    const found = new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(stats)
    return sum + Number(found?.[1] ?? 0)
  }, 0)
}

/** Waits until a member has raised its beat so often from now on, all under one name. */
async function beats(stream: EventStream<Order, Order>, member: string, n: number): Promise<void> {
  const before = new Map<string, number>()
  const isDone = async (): Promise<boolean> => {
    for (const [name, record] of Object.entries(await bed.records(stream, 'g'))) {
      // Names that it had before are revoked, and theirs is no beat any more.
      const live = /^[^|]*\|(\d+)\|\d+\|live\|/.exec(record)
      if (live === null || !name.startsWith(`${member}:`)) continue
      const beat = Number(live[1])
      const first = before.get(name) ?? beat
      before.set(name, first)
      if (beat >= first + n) return true
    }
    return false
  }
  await waitFor(isDone, { describe: `${n} beats` })
}

describe('a member of a group', () => {
  it('keeps what it handles for many leases, and what waits behind it, beside one that is idle', async () => {
    const stream = bed.stream()
    const ids = await bed.append(stream, 4)
    const gate = Promise.withResolvers<void>()
    const starts: { readonly id: string; readonly by: string; readonly again: boolean }[] = []
    const claims: Claimed[] = []
    bed.onClose(channels.claimed.subscribe((claim) => claims.push(claim)))
    const join = async (member: string): Promise<void> => {
      const options = { name: 'g', member, concurrency: 1, prefetch: 10, leaseMs: 500 }
      const group = bed.group(bed.core(), stream, options)
      group.start(async ({ id }, { redelivered, attempt }) => {
        starts.push({ id, by: member, again: redelivered || attempt > 1 })
        if (member === 'busy') await gate.promise
      })
      await group.ready
    }
    await join('busy')
    await waitFor(async () => (await bed.pending(stream, 'g')) > 1, {
      describe: 'the busy one to have one in hand and one that waits',
    })
    await join('idle')
    await beats(stream, 'idle', 16)
    const waiting = await bed.pending(stream, 'g')
    expect(waiting).toBeGreaterThan(1)
    const idles = starts.filter(({ by }) => by === 'idle')
    expect(idles.length).toBe(ids.length - waiting)
    const rows = (await bed.client.xinfo('CONSUMERS', bed.key(stream), 'g')) as unknown[][]
    const busy = rows.find((row) => String(row[1]).startsWith('busy:'))
    // By its idle time Redis would have it dead for long.
    expect(Number(busy?.[5])).toBeGreaterThan(2 * 500)
    gate.resolve()
    await waitFor(() => starts.length >= ids.length, { describe: 'all events' })
    await settled(stream)
    expect(starts.map(({ id }) => id).toSorted(compareIds)).toEqual(ids)
    expect(starts.filter(({ by }) => by === 'busy')).toHaveLength(waiting)
    expect(starts.filter(({ again }) => again)).toEqual([])
    expect(claims).toEqual([])
  })

  it('has a name of its own in Redis, whatever its owner calls it', async () => {
    const stream = bed.stream()
    const seen: string[][] = [[], []]
    for (const mine of seen) {
      const group = bed.group(bed.core(), stream, { name: 'g', member: 'worker' })
      group.start(async ({ id }) => {
        mine.push(id)
        await Promise.resolve()
      })
      await group.ready
    }
    const names = await bed.consumers(stream, 'g')
    expect(names.map((name) => name.split(':')[0])).toEqual(['worker', 'worker'])
    expect(new Set(names).size).toBe(2)
    const ids = await bed.append(stream, 1_000)
    await waitFor(() => seen.flat().length >= ids.length, { describe: 'all events' })
    await settled(stream)
    expect(seen.flat().toSorted(compareIds)).toEqual(ids)
  })

  it('counts what had left the stream when it takes over, and leaves nothing pending', async () => {
    const stream = bed.stream()
    const ids = await bed.append(stream, 6)
    const dead = bed.spawnMember({
      stream: stream.name,
      group: { name: 'g', member: 'dead', concurrency: 6, leaseMs: 500 },
      sameHostTakeover: true,
      behaviour: { hang: true },
    })
    await waitFor(() => dead.ids('start').length === 6, { describe: 'its handlers' })
    dead.kill('SIGKILL')
    await dead.exited
    await bed.client.xdel(bed.key(stream), ...ids.slice(0, 4))
    const claims: Claimed[] = []
    bed.onClose(channels.claimed.subscribe((claim) => claims.push(claim)))
    const seen: string[] = []
    const group = bed.group(bed.core(), stream, { name: 'g', leaseMs: 500 })
    group.start(({ id }) => void seen.push(id))
    await waitFor(() => seen.length === 2, { describe: 'what is left' })
    await settled(stream)
    expect(seen.toSorted(compareIds)).toEqual(ids.slice(4))
    expect(claims.reduce((sum, { expired }) => sum + expired, 0)).toBe(4)
    expect(await bed.consumers(stream, 'g')).toHaveLength(1)
  })

  it('takes over page after page, although the first of it all fails', async () => {
    const stream = bed.stream()
    const ids = await bed.append(stream, 1_000)
    const failing = new Set(ids.slice(0, 300))
    await bed.client.xgroup('CREATE', bed.key(stream), 'g', '0')
    // Somebody read all of it under a name that Millrace does not know, and is gone.
    await bed.client.xreadgroup(
      'GROUP',
      'g',
      'ghost',
      'COUNT',
      1_000,
      'STREAMS',
      bed.key(stream),
      '>',
    )
    const done = new Set<string>()
    const group = bed.group(bed.core(), stream, {
      name: 'g',
      leaseMs: 500,
      backoff: { firstMs: 60_000, greatestMs: 60_000 },
    })
    group.start(async ({ id }) => {
      await Promise.resolve()
      if (failing.has(id)) throw new Error('not now')
      done.add(id)
    })
    await waitFor(() => done.size === 700, { describe: 'everything behind the failing ones' })
    expect([...done].toSorted(compareIds)).toEqual(ids.slice(300))
    await waitFor(async () => (await bed.pending(stream, 'g')) === 300, {
      describe: 'only those that failed to be pending',
    })
  })
})

describe('a retry', () => {
  it('adds nothing to the stream, and no other group sees it', async () => {
    const stream = bed.stream()
    const attempts: number[] = []
    const others: { readonly id: string; readonly attempt: number }[] = []
    const failing = bed.group(bed.core(), stream, {
      name: 'g',
      backoff: { firstMs: 5, greatestMs: 10 },
    })
    failing.start((_event, { attempt }) => {
      attempts.push(attempt)
      if (attempt < 4) throw new Error('again')
    })
    const other = bed.group(bed.core(), stream, { name: 'other' })
    other.start(({ id }, { attempt }) => void others.push({ id, attempt }))
    await Promise.all([failing.ready, other.ready])
    const ids = await bed.append(stream, 3)
    await waitFor(() => attempts.length === 12 && others.length === 3, { describe: 'all attempts' })
    await settled(stream)
    await settled(stream, 'other')
    expect(others).toEqual(ids.map((id) => ({ id, attempt: 1 })))
    const info = (await bed.client.xinfo('STREAM', bed.key(stream))) as unknown[]
    expect(info[info.indexOf('entries-added') + 1]).toBe(3)
  })
})

describe('a group whose stream is gone', () => {
  it('does not ask Redis again and again', async () => {
    const stream = bed.stream()
    const seen: string[] = []
    const group = bed.group(bed.core(), stream, { name: 'g', member: 'm', leaseMs: 500 })
    group.start(({ id }) => void seen.push(id))
    await group.ready
    const failures: string[] = []
    bed.onClose(channels.loopFailed.subscribe(({ error }) => failures.push(error.message)))
    await bed.client.flushall()
    await waitFor(async () => Object.keys(await bed.records(stream, 'g')).length === 1, {
      describe: 'the group to be made again',
    })
    const before = await calls('evalsha', 'eval', 'xreadgroup')
    await beats(stream, 'm', 8)
    const asked = (await calls('evalsha', 'eval', 'xreadgroup')) - before
    // A beat is one script, and reads block for half a second; a loop would ask thousands of times.
    expect(asked).toBeLessThan(60)
    expect(failures.length).toBeLessThan(5)
    // Somebody deletes it faster than it can be read.
    for (let n = 0; n < 50; n++) await bed.client.del(bed.key(stream))
    await beats(stream, 'm', 2)
    expect(failures.length).toBeLessThan(60)
    const [id] = await bed.append(stream, 1)
    await waitFor(() => seen.includes(String(id)), { describe: 'the next event' })
  })
})

describe('a blocking read', () => {
  it('keeps nothing waiting: everything else of the process goes over other connections', async () => {
    await using millrace = await connect(bed.server.url, { blockMs: 20_000 })
    const quiet = bed.stream()
    const group = millrace.consumerGroup(quiet, { name: 'g' }).start(() => undefined)
    const consumer = millrace.consumer(quiet, { name: 'c' }).start(() => undefined)
    await Promise.all([group.ready, consumer.ready])
    const blocked = async (): Promise<string[]> =>
      String(await bed.client.client('LIST'))
        .split('\n')
        .filter((line) => / cmd=xread(group)? /.test(line) && / flags=\w*b/.test(line))
        .map((line) => line.split(' ')[0] ?? '')
    await waitFor(async () => (await blocked()).length === 2, { describe: 'both reads to block' })
    const reads = await calls('xread', 'xreadgroup')
    const ids = await blocked()
    const busy = bed.stream()
    for (let n = 0; n < 50; n++) await millrace.publish(busy, { n })
    expect((await millrace.inspect(quiet)).groups).toHaveLength(1)
    // All that while the very same reads were blocking.
    expect(await blocked()).toEqual(ids)
    expect(await calls('xread', 'xreadgroup')).toBe(reads)
  })
})
