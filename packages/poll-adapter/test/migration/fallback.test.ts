import { describe, expect, it } from 'vitest'
import { channels } from '@millrace/runtime'
import { waitFor } from '@millrace/testkit'
import { useRedis } from '../open-millrace.ts'
import { Board } from './board.ts'

const bed = useRedis()

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
