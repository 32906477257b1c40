import { describe, expect, it } from 'vitest'
import { defineStream } from '@millrace/runtime'
import { waitFor } from '@millrace/testkit'
import {
  createBridge,
  createMigration,
  createPoller,
  defineSource,
  type MigrationState,
} from '@millrace/poll-adapter'
import { useRedis } from '../open-millrace.ts'
import { Board } from './board.ts'

const bed = useRedis()

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
