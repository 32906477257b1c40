import { waitFor } from '@millrace/testkit'
import { afterAll, describe, expect, it } from 'vitest'
import { channels, type Claimed, type LeaseChanged } from '../../src/diagnostics.ts'
import { compareIds } from '../../src/stream/stream-id.ts'
import { GroupTestbed, type MemberProcess } from './group-on-redis.ts'

const bed = await GroupTestbed.start()
afterAll(() => bed[Symbol.asyncDispose]())

const LEASE_MS = 1_000

describe('a member whose process is killed', () => {
  it('is replaced by observation alone, nothing is lost, and its name goes', async () => {
    const stream = bed.stream()
    const ids = await bed.append(stream, 30)
    const dead = bed.spawnMember({
      stream: stream.name,
      group: { name: 'g', member: 'dead', concurrency: 5, prefetch: 20, leaseMs: LEASE_MS },
      sameHostTakeover: false,
      behaviour: { hang: true },
    })
    await waitFor(() => dead.ids('start').length === 5, { describe: 'its handlers' })
    const survivor = bed.group(bed.core({ sameHostTakeover: false }), stream, {
      name: 'g',
      leaseMs: LEASE_MS,
    })
    const seen: string[] = []
    const redelivered: string[] = []
    survivor.start((event, context) => {
      seen.push(event.id)
      if (context.redelivered) redelivered.push(event.id)
      expect(context.attempt).toBe(1)
    })
    await waitFor(() => seen.length === 20, { describe: 'what the dead one has not read' })
    const changes: LeaseChanged[] = []
    const claims: Claimed[] = []
    const offChanges = channels.leaseChanged.subscribe((change) => changes.push(change))
    const offClaims = channels.claimed.subscribe((claim) => claims.push(claim))
    dead.kill('SIGKILL')
    const killedMs = performance.now()
    await waitFor(() => changes.some(({ change }) => change === 'taken-over'), {
      describe: 'the take-over',
    })
    // Not before: a member that is only slow keeps its lease. How late at most is shown with the decision.
    expect(performance.now() - killedMs).toBeGreaterThan(0.6 * LEASE_MS)
    await waitFor(async () => (await bed.pending(stream, 'g')) === 0, { describe: 'all acks' })
    offChanges()
    offClaims()
    expect(seen.toSorted(compareIds)).toEqual(ids)
    expect(redelivered.length).toBe(10)
    expect(changes).toMatchObject([{ change: 'taken-over', reason: 'lease-expired' }])
    expect(claims).toMatchObject([
      { from: expect.stringMatching(/^dead:/), events: 10, expired: 0 },
    ])
    expect(await bed.consumers(stream, 'g')).toHaveLength(1)
  })

  it('is replaced at the next look by a member on the same host', async () => {
    const stream = bed.stream()
    const ids = await bed.append(stream, 4)
    const dead = bed.spawnMember({
      stream: stream.name,
      group: { name: 'g', leaseMs: 60_000 },
      sameHostTakeover: true,
      behaviour: { hang: true },
    })
    await waitFor(() => dead.ids('start').length === 1, { describe: 'its handler' })
    dead.kill('SIGKILL')
    await dead.exited
    const seen: string[] = []
    bed.group(bed.core(), stream, { name: 'g', leaseMs: 60_000 }).start(({ id }) => {
      seen.push(id)
    })
    // With leases of a minute only the process table can tell.
    await waitFor(() => seen.length === ids.length, { describe: 'all events' })
    expect(seen.toSorted(compareIds)).toEqual(ids)
  })

  it('does not blame its neighbours when one event kills every process, and finds that event', async () => {
    const stream = bed.stream()
    const ids = await bed.append(stream, 6)
    const poison = ids[2]
    const members: MemberProcess[] = []
    const dead = `${bed.key(stream)}:dead:g`
    while ((await bed.client.xlen(dead)) === 0) {
      expect(members.length).toBeLessThan(9)
      const member = bed.spawnMember({
        stream: stream.name,
        group: {
          name: 'g',
          leaseMs: 60_000,
          maxAttempts: 3,
          backoff: { firstMs: 10, greatestMs: 10 },
        },
        sameHostTakeover: true,
        behaviour: { die: 3 },
      })
      members.push(member)
      await Promise.race([
        member.exited,
        waitFor(async () => (await bed.client.xlen(dead)) === 1, { describe: 'the dead letter' }),
      ])
    }
    // One start before anybody knew, then as many recorded ones as there may be attempts.
    expect(
      members.flatMap(({ lines }) => lines).filter((line) => line.startsWith(`start ${poison} `)),
    ).toEqual([`start ${poison} 1`, `start ${poison} 1`, `start ${poison} 2`, `start ${poison} 3`])
    const [letter] = await bed.client.xrange(dead, '-', '+')
    expect(letter?.[1]).toEqual(expect.arrayContaining(['dead:id', poison, 'dead:attempts', '3']))
    const done = (): Set<string> => new Set(members.flatMap((member) => member.ids('done')))
    await waitFor(() => done().size === 5, { describe: 'all others' })
    await waitFor(async () => (await bed.pending(stream, 'g')) === 0, {
      describe: 'all to be settled',
    })
    expect(await bed.client.xlen(dead)).toBe(1)
    expect([...done()].toSorted(compareIds)).toEqual(ids.filter((id) => id !== poison))
  })
})

describe('a member whose process was stopped and wakes up', () => {
  it('can neither settle nor start anything under its old token, and goes on under a new one', async () => {
    const stream = bed.stream()
    const first = await bed.append(stream, 8)
    const sleeper = bed.spawnMember({
      stream: stream.name,
      group: { name: 'g', member: 'sleeper', concurrency: 2, prefetch: 8, leaseMs: 500 },
      sameHostTakeover: false,
      behaviour: { hang: true },
    })
    await waitFor(() => sleeper.ids('start').length === 2, { describe: 'its handlers' })
    const [name = ''] = await bed.consumers(stream, 'g')
    sleeper.kill('SIGSTOP')
    const seen: string[] = []
    const survivor = bed.group(bed.core({ sameHostTakeover: false }), stream, {
      name: 'g',
      leaseMs: 500,
    })
    survivor.start(({ id }) => {
      seen.push(id)
    })
    await waitFor(() => seen.length === 8, { describe: 'its events to be claimed' })
    expect((await bed.records(stream, 'g'))[name]).toMatch(/\|revoked\|/)
    // What is read under the dead name by a read that was still blocked is found by the survivor.
    const more = await bed.append(stream, 20, 9)
    await waitFor(() => seen.length === 28, { describe: 'later events' })
    await survivor.close()
    sleeper.kill('SIGCONT')
    // Its handlers are told, and succeed all the same: nobody believes them.
    await waitFor(() => sleeper.ids('done').length === 2, { describe: 'its handlers to be told' })
    await waitFor(
      async () => Object.values(await bed.records(stream, 'g')).some((r) => r.includes('|live|')),
      {
        describe: 'the sleeper to join again',
      },
    )
    const last = await bed.append(stream, 2, 29)
    await waitFor(() => sleeper.ids('start').length === 4, { describe: 'it to go on' })
    expect(sleeper.ids('start').slice(2)).toEqual(last)
    expect(seen.toSorted(compareIds)).toEqual([...first, ...more])
  })

  it('brings its old name back with a read that was still blocked, and that entry is found', async () => {
    const stream = bed.stream()
    const core = bed.core({ sameHostTakeover: false })
    const seen: string[] = []
    const survivor = bed.group(core, stream, { name: 'g', leaseMs: 500 })
    survivor.start(({ id }) => {
      seen.push(id)
    })
    await survivor.ready
    // A member that died long ago, and whose connection has not been noticed to be gone.
    await bed.client.hset(`${bed.key(stream)}:state:g`, 'member:old:abc', '1-abc|5|500|revoked|x')
    survivor.pause()
    const [id] = await bed.append(stream, 1)
    await bed.client.xreadgroup(
      'GROUP',
      'g',
      'old:abc',
      'COUNT',
      1,
      'STREAMS',
      bed.key(stream),
      '>',
    )
    survivor.resume()
    await waitFor(() => seen.length === 1, { describe: 'the entry' })
    expect(seen).toEqual([id])
    await waitFor(async () => !(await bed.consumers(stream, 'g')).includes('old:abc'), {
      describe: 'clean-up',
    })
  })

  it('is not needed for entries under a name that the state does not know: one lease, and they are claimed', async () => {
    const stream = bed.stream()
    const seen: string[] = []
    const group = bed.group(bed.core(), stream, { name: 'g', leaseMs: 500 })
    group.pause()
    group.start(({ id }) => {
      seen.push(id)
    })
    await group.ready
    const ids = await bed.append(stream, 3)
    await bed.client.xreadgroup(
      'GROUP',
      'g',
      'stranger',
      'COUNT',
      2,
      'STREAMS',
      bed.key(stream),
      '>',
    )
    await bed.client.xdel(bed.key(stream), ids[1] ?? '')
    const claims: Claimed[] = []
    const off = channels.claimed.subscribe((claim) => claims.push(claim))
    group.resume()
    await waitFor(() => seen.length === 2, { describe: 'the entries' })
    await waitFor(() => claims.length === 1, { describe: 'the report' })
    off()
    expect(seen).toEqual([ids[2], ids[0]])
    expect(claims).toMatchObject([{ from: 'stranger', events: 1, expired: 1 }])
    await waitFor(async () => (await bed.pending(stream, 'g')) === 0, {
      describe: 'all to be settled',
    })
  })
})
