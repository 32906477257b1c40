import { describe, expect, it } from 'vitest'
import { createBridge, defineSource, pollChannels } from '@millrace/poll-adapter'
import { waitFor } from '@millrace/testkit'
import { readPage } from '../../src/bridge/paging.ts'
import { SourcePosition } from '../../src/change/position.ts'
import { useRedis } from '../open-millrace.ts'

const bed = useRedis()

interface Gate {
  readonly flight: string
  readonly gate: string
  /** In whole seconds. */
  readonly changedAt: number
  readonly version?: number
}

const shape = {
  cursors: 'overlap',
  overlap: 10,
  key: ({ flight }: Gate): string => flight,
  cursorOf: ({ changedAt }: Gate): number => changedAt,
} as const

const at = (gate: string, changedAt = 100, more: Partial<Gate> = {}): Gate => ({
  flight: 'LX1',
  gate,
  changedAt,
  ...more,
})

/** Polls a table through its states one after the other; answers what was new each time. */
async function pollThrough(
  states: readonly (readonly Gate[])[],
  returned: 'refuse' | 'take',
  versions = false,
): Promise<string[][]> {
  let rows: readonly Gate[] = []
  const source = defineSource<Gate>({
    ...shape,
    ...(versions ? { version: ({ version = 0 }: Gate): number => version } : {}),
    fetch: (cursor) => ({ items: rows.filter((row) => row.changedAt > Number(cursor ?? 0)) }),
  })
  const position = new SourcePosition(source.cursors)
  const found: string[][] = []
  for (rows of states) {
    const { news } = await readPage(source, position, position.from, {
      signal: new AbortController().signal,
      limit: 100,
      timeoutMs: 10_000,
      maxDeletedShare: 0.5,
      returned,
    })
    for (const { change } of news) position.take(change)
    found.push(news.map(({ item }) => item?.gate ?? ''))
  }
  return found
}

describe('an item that looks again as it did, under one cursor', () => {
  const back = [[at('A1')], [at('B2')], [at('A1')], [at('A1')]]

  it('is handled once more by a poller', async () => {
    expect(await pollThrough(back, 'take')).toEqual([['A1'], ['B2'], ['A1'], []])
  })

  it('is refused by a bridge, which could not tell it from the change before', async () => {
    await expect(pollThrough(back, 'refuse')).rejects.toThrow(/LX1 looks again .* give version/)
  })

  it('is known by its version, or by a cursor of its own', async () => {
    const versions = back.map((rows, i) => rows.map((row) => ({ ...row, version: Math.min(i, 2) })))
    expect(await pollThrough(versions, 'refuse', true)).toEqual([['A1'], ['B2'], ['A1'], []])
    const times = [[at('A1', 100)], [at('B2', 101)], [at('A1', 102)]]
    expect(await pollThrough(times, 'refuse')).toEqual([['A1'], ['B2'], ['A1']])
  })

  it('is seen within one answer, too, and not each time that the answer is read again', async () => {
    const log = [at('A1'), at('B2'), at('A1')]
    expect(await pollThrough([log, log, log], 'take')).toEqual([['A1', 'B2'], ['A1'], []])
    await expect(pollThrough([log, log], 'refuse')).rejects.toThrow('give version')
  })

  it('is not one whose changes are all there, in whatever order', async () => {
    const states = [
      [at('A1'), at('B2')],
      [at('B2'), at('A1')],
      [at('A1'), at('B2')],
    ]
    expect(await pollThrough(states, 'refuse')).toEqual([['A1', 'B2'], [], []])
  })

  it('is told of by the bridge, which goes on with the next change of the item', async () => {
    const failures = bed.gather(pollChannels.bridgeFailed)
    let row = at('A1')
    const stream = bed.stream<Gate>()
    const bridge = createBridge(await bed.open(), stream, {
      name: 'gates',
      source: defineSource<Gate>({ ...shape, fetch: () => ({ items: [row] }) }),
      minIntervalMs: 2,
      maxIntervalMs: 20,
    }).start()
    const gates = async (): Promise<string[]> =>
      (await bed.stored<Gate>(stream)).map(({ data }) => data.gate)
    const published = (count: number): Promise<boolean> =>
      waitFor(async () => (await gates()).length === count, { describe: `${count} events` })
    await published(1)
    row = at('B2')
    await published(2)
    row = at('A1')
    await waitFor(() => failures.length > 0, { describe: 'the bridge to tell' })
    expect(failures[0]?.error.message).toContain('give version')
    row = at('C3')
    await published(3)
    expect(await gates()).toEqual(['A1', 'B2', 'C3'])
    await bridge.close()
  })
})
