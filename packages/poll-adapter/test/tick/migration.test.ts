import { connect, defineStream, type Millrace } from '@millrace/runtime'
import { type RedisServer, startRedis, waitFor } from '@millrace/testkit'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createBridge } from '../../src/bridge/bridge.ts'
import type { Cursor } from '../../src/change/cursor.ts'
import { defineSource } from '../../src/change/source.ts'
import { isPollAdapterError } from '../../src/errors.ts'
import { createMigration } from '../../src/migration/migration.ts'
import type { MigrationState } from '../../src/migration/state.ts'
import { tickLoop } from '../../src/tick/tick-loop.ts'

interface Row {
  readonly n: number
}

let server: RedisServer
let millrace: Millrace
let streams = 0

beforeAll(async () => {
  server = await startRedis()
  millrace = await connect(server.url, { blockMs: 500 })
})
afterAll(async () => {
  await millrace.close()
  await server[Symbol.asyncDispose]()
})

const rowCursors = {
  cursors: 'exact',
  cursorOf: ({ n }: Row): number => n,
  key: ({ n }: Row): string => `row-${n}`,
} as const

/** A source that a test adds rows to, and that counts how often it is asked. */
function growingSource() {
  const rows: Row[] = []
  let asked = 0
  return {
    get asked() {
      return asked
    },
    add(count: number) {
      for (let i = 0; i < count; i++) rows.push({ n: rows.length })
    },
    fetch: (cursor: Cursor | undefined, { limit }: { readonly limit: number }) => {
      asked++
      return { items: rows.filter(({ n }) => n > Number(cursor ?? -1)).slice(0, limit) }
    },
  }
}

describe('a tick loop with a migration', () => {
  it('feeds the same handler by polling, by the stream, and by polling again, each item once and in order', async () => {
    const stream = defineStream<Row>(`rows-${++streams}`)
    const source = growingSource()
    const handled: number[] = []
    await using bridge = createBridge(millrace, stream, {
      name: 'rows',
      source: defineSource<Row>({ ...rowCursors, fetch: source.fetch }),
      minIntervalMs: 10,
      maxIntervalMs: 10,
    }).start()
    const oldApi = growingSource()
    const add = (count: number): void => {
      source.add(count)
      oldApi.add(count)
    }
    await using loop = tickLoop<Row>({
      name: 'reader',
      every: 20,
      fetch: oldApi.fetch,
      handler: ({ n }) => {
        handled.push(n)
      },
      migration: { millrace, stream, bridge: 'rows', lookEveryMs: 50, ...rowCursors },
    }).start()
    await using migration = createMigration(millrace, stream)
    const inForce = async (state: MigrationState): Promise<void> => {
      const { epoch } = await migration.switchTo('reader', state, { who: 'test', why: 'to see' })
      await waitFor(async () => (await migration.look('reader')).acting.epoch === epoch, {
        describe: `${state} to be in force`,
      })
    }
    const all = (count: number): Promise<unknown> =>
      waitFor(() => handled.length === count, { describe: `${count} items` })

    add(10)
    await all(10)
    await inForce('shadow')
    add(10)
    await all(20)
    await inForce('stream')
    const askedBefore = oldApi.asked
    add(10)
    await all(30)
    expect(oldApi.asked).toBe(askedBefore)
    await inForce('poll')
    add(10)
    await all(40)
    expect(oldApi.asked).toBeGreaterThan(askedBefore)
    expect(handled).toEqual(Array.from({ length: 40 }, (_, n) => n))
    expect(bridge.polling).toBe(true)
    expect(loop.name).toBe('reader')
  })

  it('begins where it was before there was a migration, and never asks for that again', async () => {
    const stream = defineStream<Row>(`rows-${++streams}`)
    const source = growingSource()
    source.add(10)
    let loaded = 0
    const handled: number[] = []
    const run = () =>
      tickLoop<Row>({
        name: 'reader',
        every: 20,
        fetch: source.fetch,
        cursor: {
          load: () => {
            loaded++
            return Promise.resolve(6)
          },
          save: () => undefined,
        },
        handler: ({ n }) => {
          handled.push(n)
        },
        migration: { millrace, stream, ...rowCursors },
      }).start()
    const first = run()
    await waitFor(() => handled.length === 3, { describe: 'what it had not handled yet' })
    await first.close()
    source.add(1)
    await using second = run()
    await waitFor(() => handled.length === 4, { describe: 'what came meanwhile' })
    await second.close()
    expect(handled).toEqual([7, 8, 9, 10])
    expect(loaded).toBe(1)
  })

  it('has all problems of its options in one error', () => {
    try {
      tickLoop({
        name: 'reader',
        every: () => 0,
        fetch: () => ({ items: [] }),
        handler: () => undefined,
        migration: {} as never,
      })
      expect.unreachable()
    } catch (error) {
      expect(isPollAdapterError(error, 'OPTIONS_INVALID') && error.issues.length).toBe(3)
    }
  })
})
