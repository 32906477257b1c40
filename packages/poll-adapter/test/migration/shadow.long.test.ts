import { describe, expect, it } from 'vitest'
import { waitFor } from '@millrace/testkit'
import { defineSource, httpSource, type ShadowReport, type Source } from '@millrace/poll-adapter'
import type { Flight, FlightSource } from '../flight-source.ts'
import { useRedis } from '../open-millrace.ts'
import { Board } from './board.ts'

const bed = useRedis()

const identity = {
  key: ({ flight }: Flight): string => flight,
  version: ({ version }: Flight): number => version,
}

/** The same flights as the bridge has, through an endpoint that has a fault. */
function faulty(source: FlightSource): Source<Flight> {
  return httpSource<Flight>({
    ...identity,
    url: `${source.url}/flights?via=poll`,
    cursors: 'overlap',
    overlap: 0,
    cursorOf: ({ seq }) => seq,
  })
}

/** Shadows while the changes come, until the comparison has judged all of them. */
async function shadowed(
  board: Board,
  flights: Source<Flight>,
  bridged: Source<Flight>,
  change: () => Promise<void> | void,
  enough: (report: ShadowReport) => boolean,
  // Long enough for a busy machine; a test of lateness takes a shorter one.
  shadowWindowMs = 5_000,
): Promise<ShadowReport> {
  board.bridge(bridged)
  board.poller({ source: flights, shadowWindowMs, leaseMs: 10_000 })
  await board.switchTo('shadow')
  await waitFor(async () => (await board.migration.report('board')).hasBegun, {
    describe: 'the comparison to begin',
  })
  await change()
  let report: ShadowReport | undefined
  await waitFor(
    async () => {
      report = await board.migration.report('board')
      return report.open === 0 && enough(report)
    },
    { describe: 'the verdict', timeoutMs: 60_000 },
  ).catch((error: unknown) => {
    throw new Error(`${String(error)}: ${JSON.stringify(report)}`)
  })
  if (report === undefined) throw new Error('there is no report')
  return report
}

function good(source: FlightSource): Source<Flight> {
  return httpSource<Flight>({
    ...identity,
    url: `${source.url}/flights`,
    cursors: 'overlap',
    overlap: 0,
    cursorOf: ({ seq }) => seq,
  })
}

function changeMany(source: FlightSource, count: number): void {
  for (let n = 0; n < count; n++) source.change(`LX${n % 10}`)
}

describe('a shadow', { timeout: 90_000 }, () => {
  it('finds nothing wrong where nothing is, and feeds the handler by polling alone', async () => {
    const board = await Board.open(bed)
    changeMany(board.source, 50)
    const report = await shadowed(
      board,
      faulty(board.source),
      good(board.source),
      () => {
        changeMany(board.source, 200)
      },
      ({ matched }) => matched >= 200,
    )
    expect(report).toMatchObject({
      onlyPoll: 0,
      onlyStream: 0,
      outOfOrder: 0,
      differing: 0,
      late: 0,
    })
    await board.settled()
    expect(new Set(board.handled.map(({ via }) => via))).toEqual(new Set(['poll']))
    expect(board.handled.length).toBe(250)
  })

  it('finds a source that drops one change in a thousand', async () => {
    const board = await Board.open(bed)
    board.source.distort = (flights, url) =>
      url.searchParams.get('via') === 'poll'
        ? flights.filter(({ seq }) => seq % 1_000 !== 0)
        : flights
    const report = await shadowed(
      board,
      faulty(board.source),
      good(board.source),
      async () => {
        // Lot by lot: what a busy machine takes longer for than the window would be told of as late.
        for (let lots = 0; lots < 10; lots++) {
          changeMany(board.source, 310)
          const { lastSeq } = board.source
          const polled = lastSeq - Math.floor(lastSeq / 1_000)
          await waitFor(() => board.handled.length >= polled, { describe: `${polled} polled` })
        }
      },
      ({ matched, onlyStream }) => matched + onlyStream >= 3_100,
      15_000,
    )
    expect(report).toMatchObject({ matched: 3_097, onlyStream: 3, onlyPoll: 0 })
    expect(report.examples.map(({ what }) => what)).toEqual(Array(3).fill('only-stream'))
  })

  it('finds a source that brings changes of one item in another order', async () => {
    const board = await Board.open(bed)
    board.source.distort = (flights, url) =>
      url.searchParams.get('via') === 'poll' ? flights.toReversed() : flights
    const report = await shadowed(
      board,
      faulty(board.source),
      good(board.source),
      () => {
        for (let n = 0; n < 20; n++) board.source.change('LX1')
      },
      ({ matched }) => matched >= 20,
    )
    expect(report.outOfOrder).toBeGreaterThan(0)
    expect(report).toMatchObject({ onlyPoll: 0, onlyStream: 0 })
  })

  it('finds a source with a stale cache: what comes late, and what has an old value', async () => {
    const board = await Board.open(bed)
    let cached: Flight[] | undefined
    let isStale = false
    board.source.distort = (flights, url) => {
      if (url.searchParams.get('via') !== 'poll' || !isStale) return flights
      cached ??= flights
      return cached
    }
    const stale = shadowed(
      board,
      faulty(board.source),
      good(board.source),
      async () => {
        isStale = true
        const { requests } = board.source
        await waitFor(() => board.source.requests > requests + 5, { describe: 'the cache' })
        changeMany(board.source, 10)
        await waitFor(async () => (await board.migration.report('board')).onlyStream === 10, {
          describe: 'changes that polling does not bring',
        })
        // The cache is filled anew, but for a value that it keeps.
        cached = undefined
        isStale = false
        board.source.distort = (flights, url) =>
          url.searchParams.get('via') === 'poll'
            ? flights.map((flight) =>
                flight.flight === 'LX3' ? { ...flight, gate: 'old' } : flight,
              )
            : flights
      },
      ({ late }) => late >= 10,
      400,
    )
    expect(await stale).toMatchObject({ matched: 10, onlyStream: 0, late: 10, differing: 1 })
  })

  it('finds a source that loses equal timestamps at the border of a page', async () => {
    const board = await Board.open(bed)
    const { source } = board
    const at = ({ seq }: Flight): number => Math.floor(seq / 10)
    const sourceOf = (
      since: (flights: Flight[], cursor: number) => Flight[],
      limit: number,
    ): Source<Flight> =>
      defineSource<Flight>({
        ...identity,
        cursors: 'overlap',
        overlap: 0,
        cursorOf: at,
        fetch: (cursor) => {
          const items = since(source.all(), Number(cursor ?? -1)).slice(0, limit)
          const last = items.at(-1)
          // It cuts pages off without saying so, so that nobody can know of the rest.
          return { items, cursor: last === undefined ? cursor : at(last) }
        },
      })
    const exclusive = sourceOf(
      (flights, cursor) => flights.filter((flight) => at(flight) > cursor),
      7,
    )
    const inclusive = defineSource<Flight>({
      ...identity,
      cursors: 'overlap',
      overlap: 0,
      cursorOf: at,
      fetch: (cursor) => ({
        items: source.all().filter((flight) => at(flight) >= Number(cursor ?? -1)),
      }),
    })
    const report = await shadowed(
      board,
      exclusive,
      inclusive,
      () => {
        changeMany(source, 70)
      },
      ({ matched, onlyStream }) => matched + onlyStream >= 70,
    )
    expect(report.onlyStream).toBeGreaterThan(5)
    expect(report.onlyPoll).toBe(0)
  })
})
