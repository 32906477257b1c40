import { describe, expect, it } from 'vitest'
import { waitFor } from '@millrace/testkit'
import { pollChannels } from '@millrace/poll-adapter'
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
