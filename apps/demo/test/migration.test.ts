import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type FlightRow, FlightTable } from '../src/migration/flight-table.ts'
import { makeMigrationReport } from '../src/migration/migration-report.ts'
import { type FlightPage, OldApi } from '../src/migration/old-api.ts'
import { type Reading, stretchBetween } from '../src/migration/resources.ts'
import { formatEntry } from '../src/proof/journal.ts'
import { Ledger } from '../src/proof/ledger.ts'
import { migrationSummary } from '../src/screen/migration-summary.ts'
import { writeFileSync } from 'node:fs'

let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-demo-test-'))
})
afterEach(() => rm(folder, { recursive: true }))

function row(sequence: number): FlightRow {
  return {
    sequence,
    publishedAtMs: 1_000 + sequence,
    update: {
      origin: 'BER',
      destination: 'JFK',
      scheduledDeparture: '2001-01-01T00:00:00.000Z',
      delayMinutes: sequence,
      distanceMiles: 3_967,
    },
  }
}

describe('the old API', () => {
  test('answers what is after a cursor, page by page, and refuses nonsense', async () => {
    using table = new FlightTable(join(folder, 'flights.sqlite'))
    await using api = new OldApi(table)
    const url = await api.listen()
    const get = async (query: string): Promise<FlightPage> =>
      (await (await fetch(`${url}${query}`)).json()) as FlightPage
    expect(await get('')).toEqual({ items: [], cursor: -1, hasMore: false })
    table.insert([row(0), row(1), row(2)])
    expect(await get('?limit=2')).toEqual({ items: [row(0), row(1)], cursor: 1, hasMore: true })
    expect(await get('?since=1&limit=2')).toEqual({ items: [row(2)], cursor: 2, hasMore: false })
    expect((await fetch(`${url}?since=now`)).status).toBe(400)
    expect((await fetch(`${url}?limit=0`)).status).toBe(400)
  })

  test('has what another process has written', () => {
    const path = join(folder, 'flights.sqlite')
    using writer = new FlightTable(path)
    using reader = new FlightTable(path)
    writer.insert([row(0)])
    expect(reader.after(-1, 10)).toEqual([row(0)])
  })
})

describe('what is said of a migration', () => {
  const reading = (atMs: number, cpuMs: number, requests: number): Reading => ({
    atMs,
    processes: new Map([
      ['board', { cpuMs, memoryBytes: 1_048_576, requests }],
      ['redis', { cpuMs: cpuMs * 2, memoryBytes: 1_048_576, requests: 0 }],
    ]),
  })

  function ledgerOf(published: readonly number[], handled: readonly (readonly [number, number])[]) {
    const ledger = new Ledger()
    ledger.addConsumer('board', 'stream')
    const [systemPath, boardPath] = [join(folder, 'system'), join(folder, 'board')]
    const line = (sequence: number, atMs: number): string =>
      formatEntry({
        sequence,
        id: `0-${sequence}`,
        publishedAtMs: 1_000 * sequence,
        atMs,
        redelivered: false,
      })
    writeFileSync(systemPath, published.map((sequence) => line(sequence, 0)).join(''))
    writeFileSync(boardPath, handled.map(([sequence, atMs]) => line(sequence, atMs)).join(''))
    ledger.followProducer(systemPath)
    ledger.followConsumer(boardPath, 'board', 'board')
    ledger.read()
    return ledger
  }

  test('is counted from the journals, and compares two stretches', () => {
    const ledger = ledgerOf(
      [1, 2, 3, 4, 5],
      [
        [1, 1_500],
        [2, 2_500],
        [4, 4_010],
        [3, 4_011],
        [4, 4_012],
      ],
    )
    const before = stretchBetween(reading(1_000, 100, 0), reading(3_000, 300, 4))
    const after = stretchBetween(reading(3_500, 400, 4), reading(5_500, 500, 4))
    const report = makeMigrationReport(ledger, before, after, 3)
    ledger.close()
    expect(report.pollers).toEqual([
      {
        name: 'board',
        before: { p50Ms: 500, p99Ms: 500, requestsPerS: 2, cpuS: 0.2 },
        after: { p50Ms: 10, p99Ms: 10, requestsPerS: 0, cpuS: 0.1 },
        lost: 1,
        repeated: 1,
        outOfOrder: 1,
      },
    ])
    expect(report.ok).toBe(false)
    expect(report.before).toEqual({
      requestsPerS: 2,
      cpuS: 0.6,
      memoryBytes: 2_097_152,
      processes: 2,
    })
    const text = migrationSummary(report).join('\n')
    expect(text).toMatch(/board, polling +500\.0 +500\.0 +2\.0 +0\.20/)
    expect(text).toMatch(/board, fed by the stream +10\.0 +10\.0 +0\.0 +0\.10 +1 +1 +1/)
  })
})
