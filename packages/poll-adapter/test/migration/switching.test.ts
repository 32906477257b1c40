import { describe, expect, it } from 'vitest'
import { channels, defineStream, UnrecoverableError } from '@millrace/runtime'
import { waitFor } from '@millrace/testkit'
import {
  createBridge,
  createMigration,
  createPoller,
  defineSource,
  type MigrationState,
  pollChannels,
} from '@millrace/poll-adapter'
import { flightsOver } from '../flight-kinds.ts'
import { type Clock, systemClock } from '../../src/lifecycle/clock.ts'
import { useRedis } from '../open-millrace.ts'
import { Board } from './board.ts'

const bed = useRedis()
const LOOK_EVERY_MS = 500

describe('switching a poller', () => {
  it('is in force within two seconds, and leaves a trail', async ({ annotate }) => {
    const board = await Board.open(bed)
    const bridge = board.bridge()
    await waitFor(async () => (await bridge.look()).began, { describe: 'the bridge to begin' })
    let looks = 0
    const clock: Clock = {
      ...systemClock,
      after: (ms, callback) => {
        if (ms === LOOK_EVERY_MS) looks += 1
        return systemClock.after(ms, callback)
      },
    }
    board.poller({ lookEveryMs: LOOK_EVERY_MS }, board.millrace, clock)
    board.source.change('LX1')
    await board.settled()
    let looksUntilSwitched = Number.NaN
    bed.onClose(
      pollChannels.migrationSwitched.subscribe(({ epoch }) => {
        if (epoch === 1) looksUntilSwitched = looks
      }),
    )
    const startedMs = performance.now()
    await board.migration.switchTo('board', 'stream', { who: 'ada', why: 'it is time' })
    const looksBefore = looks
    await board.actsAs('stream')
    await annotate(`in force after ${(performance.now() - startedMs).toFixed(0)} ms`)
    // One pause may have been under way, and one look; more than another pause is never waited for.
    expect(looksUntilSwitched - looksBefore).toBeLessThanOrEqual(1)
    board.source.change('LX1')
    await board.settled()
    await board.switchTo('poll', 'back again')
    board.source.change('LX1')
    await board.settled()
    expect(board.handled).toEqual([
      { id: 'LX1@1', via: 'poll', epoch: 0 },
      { id: 'LX1@2', via: 'stream', epoch: 1 },
      { id: 'LX1@3', via: 'poll', epoch: 2 },
    ])
    const trail = await board.migration.audit('board')
    expect(trail).toMatchObject([
      { who: 'ada', why: 'back again', from: 'stream', to: 'poll', epoch: 2 },
      { who: 'ada', why: 'it is time', from: 'poll', to: 'stream', epoch: 1 },
    ])
    expect(trail[0]?.atMs).toBeGreaterThanOrEqual(trail[1]?.atMs ?? Number.NaN)
  })

  it('keeps the last 200 lines of the trail', async () => {
    const board = await Board.open(bed)
    board.poller()
    await board.actsAs('poll')
    for (let n = 0; n < 205; n++) {
      const to = n % 2 === 0 ? 'shadow' : 'poll'
      await board.migration.switchTo('board', to, { who: 'ada', why: String(n) })
    }
    const trail = await board.migration.audit('board')
    expect(trail.length).toBe(200)
    expect(trail[0]?.why).toBe('204')
  })

  it('is refused beyond shadow, with the reason, where the source cannot support it', async () => {
    const board = await Board.open(bed)
    const switched = board.migration.switchTo('board', 'stream', { who: 'ada', why: 'x' })
    await expect(switched).rejects.toMatchObject({ code: 'SWITCH_REFUSED' })
    await expect(switched).rejects.toThrow('no process has run this poller yet')
    board.poller({ mayLeavePolling: false })
    await waitFor(async () => (await board.migration.look('board')).capability !== undefined, {
      describe: 'the poller to tell what its source can do',
    })
    const again = board.migration.switchTo('board', 'stream', { who: 'ada', why: 'x' })
    await expect(again).rejects.toThrow('no cursor that can be compared')
    expect(
      (await board.migration.switchTo('board', 'shadow', { who: 'ada', why: 'x' })).state,
    ).toBe('shadow')
    await expect(
      board.migration.switchTo('board', 'sideways' as never, { who: '' } as never),
    ).rejects.toThrow(/who must be .* why is missing.* state must be one of/)
  })

  it('waits, and says for what, while the bridge has not brought what the poller has', async () => {
    const board = await Board.open(bed)
    board.poller()
    board.source.change('LX1')
    await board.settled()
    await board.migration.switchTo('board', 'stream', { who: 'ada', why: 'x' })
    await waitFor(async () => (await board.migration.look('board')).waiting.includes('no bridge'), {
      describe: 'the reason',
    })
    // Polling goes on meanwhile.
    board.source.change('LX1')
    await board.settled()
    board.bridge()
    await board.actsAs('stream')
    board.source.change('LX1')
    await board.settled()
    expect(board.handled.map(({ via }) => via)).toEqual(['poll', 'poll', 'stream'])
    expect((await board.migration.look('board')).waiting).toBe('')
  })

  it('can be taken back at once while it waits for a bridge that does not come', async () => {
    const board = await Board.open(bed)
    const handled = (count: number): Promise<boolean> =>
      waitFor(() => board.handled.length === count, { describe: `${count} handled` })
    const source = flightsOver(board.source.url, 'snapshot')
    let isStuck = false
    const bridge = board.bridge({
      ...source,
      fetch: (cursor, context) =>
        isStuck ? Promise.withResolvers<never>().promise : source.fetch(cursor, context),
    })
    board.poller({ source })
    board.source.change('LX1')
    await handled(1)
    await waitFor(async () => (await bridge.look()).fetches > 0, { describe: 'a fetch' })
    isStuck = true
    await waitFor(
      async () => {
        const { started, fetches } = await bridge.look()
        return started > fetches
      },
      { describe: 'the bridge to wait for its source' },
    )
    const { epoch } = await board.migration.switchTo('board', 'stream', { who: 'ada', why: 'x' })
    // Nothing is asked for any more: the switch waits for a fetch of the bridge.
    let asked = 0
    let quiet = 0
    await waitFor(
      () => {
        quiet = board.source.requests === asked ? quiet + 1 : 0
        asked = board.source.requests
        return quiet === 30
      },
      { describe: 'polling to stop' },
    )
    await board.switchTo('poll', 'back again')
    expect((await board.migration.look('board')).acting).toEqual({
      mode: 'poll',
      epoch: epoch + 1,
    })
    board.source.change('LX1')
    await handled(2)
    expect(board.source.requests).toBeGreaterThan(asked)
    expect(board.handled.map(({ via }) => via)).toEqual(['poll', 'poll'])
  })
})

describe('a switch of a snapshot', () => {
  it('waits for a bridge that nobody runs no longer than its lease, and polling goes on', async () => {
    const board = await Board.open(bed)
    const handled = (count: number): Promise<boolean> =>
      waitFor(() => board.handled.length === count, { describe: `${count} handled` })
    const source = flightsOver(board.source.url, 'snapshot')
    const bridge = board.bridge(source)
    board.poller({ source })
    board.source.change('LX1')
    await handled(1)
    await waitFor(async () => (await bridge.look()).fetches > 0, { describe: 'a fetch' })
    await bridge.close()
    await board.migration.switchTo('board', 'stream', { who: 'ada', why: 'x' })
    await waitFor(
      async () => (await board.migration.look('board')).waiting === 'no process runs the bridge',
      { describe: 'the reason' },
    )
    board.source.change('LX1')
    await handled(2)
    board.bridge(source)
    await board.actsAs('stream')
    board.source.change('LX1')
    await handled(3)
    expect(board.handled.map(({ via }) => via)).toEqual(['poll', 'poll', 'stream'])
  })
})

describe('a poller that was closed', () => {
  it('is not started again, and neither is a bridge', async () => {
    const board = await Board.open(bed)
    const [poller, bridge] = [board.poller(), board.bridge()]
    await Promise.all([poller.close(), bridge.close()])
    for (const one of [poller, bridge]) {
      expect(() => one.start()).toThrow(expect.objectContaining({ code: 'CLOSED' }))
    }
  })
})

describe('a poller that has entered the stream', () => {
  it.each([
    ['behind an event', 1],
    ['at the beginning', 0],
  ])(
    '%s polls on where its place was removed before it handled anything there',
    async (_, done) => {
      const board = await Board.open(bed)
      const bridge = board.bridge()
      for (let n = 0; n < 6; n++) board.source.change('LX1')
      await waitFor(async () => (await bed.stored(board.stream)).length === 6, {
        describe: 'all events',
      })
      const ids = (await bed.stored(board.stream)).map(({ id }) => id)
      // What a process leaves that dies right after the step by which the stream was entered.
      const place = done === 0 ? '0-0' : (ids[done - 1] ?? '')
      await bed.redis.hset(`${bed.key(board.stream)}:x:poll:migration:board`, {
        ...{
          state: 'stream',
          epoch: 1,
          mode: 'stream',
          actingEpoch: 1,
          kind: 'exact',
          consumer: '1',
        },
        ...{ step: 1, cursor: done === 0 ? '' : String(done), startId: place, notedId: place },
      })
      await board.millrace.admin(board.stream).trim({ to: { length: 2 } })
      board.poller()
      await waitFor(() => board.handled.length === 6 - done, { describe: 'everything' })
      board.source.change('LX1')
      await board.actsAs('stream')
      board.source.change('LX1')
      await waitFor(() => board.handled.length === 8 - done, { describe: 'what came later' })
      expect(board.handled.map(({ id }) => id)).toEqual(
        Array.from({ length: 8 - done }, (__, n) => `LX1@${n + 1 + done}`),
      )
      expect(board.handled[0]?.via).toBe('poll')
      expect(board.handled.at(-1)?.via).toBe('stream')
      await bridge.close()
    },
  )
})

describe('a poller whose process died before it could store what the stream had brought', () => {
  it('takes none of it for unhandled or unseen when it is switched back before anything new comes', async () => {
    interface Gate {
      readonly flight: string
      readonly gate: string
    }
    const millrace = await bed.open()
    const stream = defineStream<Gate | null>('gates-of-the-dead')
    const record = `${bed.key(stream)}:x:poll:migration:board`
    const migration = createMigration(millrace, stream)
    const handled: (string | undefined)[] = []
    let gate = 'A1'
    const source = defineSource<Gate>({
      cursors: 'snapshot',
      key: ({ flight }) => flight,
      fetch: () => ({ items: [{ flight: 'LX1', gate }] }),
    })
    const bridge = createBridge<Gate, Gate | null>(millrace, stream, {
      ...{ name: 'board', source, minIntervalMs: 2, maxIntervalMs: 20 },
    }).start()
    const start = () =>
      createPoller<Gate, Gate | null>(millrace, stream, {
        ...{ name: 'board', source, intervalMs: 10, lookEveryMs: 20, leaseMs: 600 },
        handler: (item) => handled.push(item?.gate),
      }).start()
    const inForce = async (state: MigrationState): Promise<void> => {
      await waitFor(async () => (await migration.look('board')).capability !== undefined, {
        describe: 'the poller to run',
      })
      const { epoch } = await migration.switchTo('board', state, { who: 'ada', why: 'x' })
      await waitFor(async () => (await migration.look('board')).acting.epoch === epoch, {
        describe: `${state} to be in force`,
      })
    }
    const until = (last: string): Promise<boolean> =>
      waitFor(() => handled.at(-1) === last, { describe: `${last} to be handled` })

    const first = start()
    await until('A1')
    await inForce('stream')
    const [notedId, items] = [
      await bed.redis.hget(record, 'notedId'),
      await bed.redis.hgetall(`${record}:items`),
    ]
    gate = 'B2'
    await until('B2')
    await first.close()
    await bridge.close()
    // The Consumer's own position is that behind B2; the position in the source is from before.
    await bed.redis.hset(record, 'notedId', notedId ?? '')
    await bed.redis.hset(`${record}:items`, items)
    gate = 'A1'
    const second = start()
    await waitFor(() => second.acting === 'stream', { describe: 'the next process to act' })
    await inForce('stream-with-fallback')
    await inForce('poll')
    await until('A1')
    expect(handled).toEqual(['A1', 'B2', 'A1'])
    await Promise.all([second.close(), migration.close()])
  })
})

describe('a poller that has left the stream', () => {
  const consumersOf = async (board: Board): Promise<string[]> =>
    (await board.millrace.inspect(board.stream)).consumers.map(({ name }) => name)

  it('leaves no Consumer there that retention would wait for', async () => {
    const board = await Board.open(bed)
    board.bridge()
    board.poller()
    board.source.change('LX1')
    await board.settled()
    await board.switchTo('stream')
    await waitFor(async () => (await consumersOf(board)).includes('board'), {
      describe: 'the Consumer',
    })
    await board.switchTo('poll')
    await waitFor(async () => (await consumersOf(board)).length === 0, {
      describe: 'the Consumer to be removed',
    })
  })

  it('has its Consumer removed later where a process died that still held it', async () => {
    const board = await Board.open(bed)
    // What a process leaves that dies between its last step in the stream and the removal.
    const died = (await bed.open()).consumer(board.stream, { name: 'board' })
    died.start(() => undefined)
    await waitFor(async () => (await consumersOf(board)).includes('board'), {
      describe: 'the Consumer',
    })
    await bed.redis.hset(`${bed.key(board.stream)}:x:poll:migration:board`, 'consumer', '1')
    board.poller()
    board.source.change('LX1')
    await board.settled()
    expect(await consumersOf(board)).toEqual(['board'])
    await died.close()
    await waitFor(async () => (await consumersOf(board)).length === 0, {
      describe: 'the Consumer to be removed',
    })
    board.source.change('LX1')
    await board.settled()
  })
})

describe('a poller in stream-with-fallback', () => {
  it('polls by itself while the stream is unhealthy, and comes back, losing and repeating nothing', async () => {
    const board = await Board.open(bed)
    const bridge = board.bridge()
    board.poller({ unhealthyAfterMs: 700, healthyAfterMs: 200 })
    board.source.change('LX1')
    await board.settled()
    await board.switchTo('stream-with-fallback')
    board.source.change('LX1')
    await board.settled()
    await bridge.close()
    board.source.change('LX1')
    await board.actsAs('poll')
    await board.settled()
    expect(await board.migration.look('board')).toMatchObject({
      state: 'stream-with-fallback',
      fallback: expect.stringContaining('has not been heard of'),
    })
    board.bridge()
    await board.actsAs('stream')
    board.source.change('LX1')
    await board.settled()
    expect(board.handled.map(({ id, via }) => [id, via])).toEqual([
      ['LX1@1', 'poll'],
      ['LX1@2', 'stream'],
      ['LX1@3', 'poll'],
      ['LX1@4', 'stream'],
    ])
    const who = (await board.migration.audit('board')).map((line) => line.who)
    expect(who).toEqual(['millrace', 'millrace', 'ada'])
  })

  it('polls what retention has removed, also where a process died that was told of it', async () => {
    const board = await Board.open(bed)
    const bridge = board.bridge()
    for (let n = 0; n < 6; n++) board.source.change('LX1')
    await waitFor(async () => (await bed.stored(board.stream)).length === 6, {
      describe: 'all events',
    })
    const [first = '', second = ''] = (await bed.stored(board.stream)).map(({ id }) => id)
    await board.millrace.admin(board.stream).trim({ to: { length: 2 } })
    // What such a process leaves: its Consumer stands before what was removed, and does not tell of it again.
    const died = (await bed.open()).consumer(board.stream, { name: 'board', from: { id: second } })
    const told = bed.gather(channels.gap)
    died.start(() => Promise.withResolvers<never>().promise)
    await waitFor(
      async () =>
        told.length > 0 &&
        (await bed.redis.hget(`${bed.key(board.stream)}:state:board`, 'gap')) === '',
      { describe: 'the gap to be told of' },
    )
    await died.close({ deadlineMs: 0 })
    await bed.redis.hset(`${bed.key(board.stream)}:x:poll:migration:board`, {
      ...{ state: 'stream-with-fallback', epoch: 1, mode: 'stream', actingEpoch: 1 },
      ...{ kind: 'exact', consumer: '1', step: 1, cursor: '2', startId: first, notedId: second },
    })
    board.poller({ healthyAfterMs: 100 })
    await waitFor(() => board.handled.length === 4, { describe: 'everything' })
    await board.actsAs('stream')
    board.source.change('LX1')
    await waitFor(() => board.handled.length === 5, { describe: 'what came later' })
    expect(board.handled.map(({ id, via }) => [id, via])).toEqual([
      ...[3, 4, 5, 6].map((version) => [`LX1@${version}`, 'poll']),
      ['LX1@7', 'stream'],
    ])
    const whys = (await board.migration.audit('board')).map(({ why }) => why)
    expect(whys.at(-1)).toContain('retention has removed')
    await bridge.close()
  })

  it('polls what was lost when the stream is deleted', async () => {
    const board = await Board.open(bed)
    board.bridge()
    board.poller({ unhealthyAfterMs: 500, healthyAfterMs: 60_000 })
    for (let n = 0; n < 5; n++) board.source.change('LX1')
    await board.settled()
    await board.switchTo('stream-with-fallback')
    await bed.redis.del(bed.key(board.stream))
    for (let n = 0; n < 5; n++) board.source.change('LX2')
    await board.settled()
    expect(new Set(board.handled.map(({ id }) => id)).size).toBe(10)
  })
})

describe('the handler of a poller', () => {
  it('is given the item again after it failed, whichever way it came, and nothing overtakes it', async () => {
    const board = await Board.open(bed)
    const failures = bed.gather(pollChannels.pollerFailed)
    const tried: string[] = []
    const failing = new Set(['LX1@2', 'LX1@5'])
    board.bridge()
    board.poller({
      handler: (_, { change, via, epoch }) => {
        tried.push(change.id)
        if (failing.delete(change.id)) throw new Error('planted')
        board.handled.push({ id: change.id, via, epoch })
      },
    })
    for (let n = 0; n < 3; n++) board.source.change('LX1')
    await board.settled()
    await board.switchTo('stream')
    for (let n = 0; n < 3; n++) board.source.change('LX1')
    await board.settled()
    expect(tried).toEqual([1, 2, 2, 3, 4, 5, 5, 6].map((version) => `LX1@${version}`))
    expect(failures.map(({ mode, error }) => [mode, error.message])).toEqual([
      ['poll', 'The handler failed for LX1@2'],
    ])
  })

  it('gets a dead letter of the stream again when it is redriven', async () => {
    const board = await Board.open(bed)
    let isBroken = true
    board.bridge()
    board.poller({
      handler: (_, { change, via, epoch }) => {
        if (isBroken && change.id === 'LX1@2') throw new UnrecoverableError('planted')
        board.handled.push({ id: change.id, via, epoch })
      },
    })
    board.source.change('LX1')
    await board.settled()
    await board.switchTo('stream')
    board.source.change('LX1')
    board.source.change('LX1')
    await waitFor(() => board.handled.some(({ id }) => id === 'LX1@3'), {
      describe: 'what comes after the dead letter',
    })
    isBroken = false
    await board.millrace.deadLetters(board.stream, 'board').redrive()
    await board.settled()
    expect(board.handled.map(({ id }) => id)).toEqual(['LX1@1', 'LX1@3', 'LX1@2'])
  })

  it('is finished before another mode or another process begins', async () => {
    const board = await Board.open(bed)
    board.bridge()
    let running = 0
    let most = 0
    const handler = async (): Promise<void> => {
      running += 1
      most = Math.max(most, running)
      await new Promise((resolve) => setTimeout(resolve, 5))
      running -= 1
    }
    const first = board.poller({ handler })
    board.poller({ handler }, await bed.open())
    for (const state of ['stream', 'poll', 'shadow', 'stream', 'poll'] as const) {
      for (let n = 0; n < 20; n++) board.source.change(`LX${n}`)
      await board.switchTo(state)
    }
    await first.close()
    await board.switchTo('stream')
    expect(most).toBe(1)
  })
})
