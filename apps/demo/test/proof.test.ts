import { appendFileSync, closeSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { formatEntry, Journal, type JournalEntry, JournalReader } from '../src/proof/journal.ts'
import { Ledger } from '../src/proof/ledger.ts'
import { percentile } from '../src/proof/percentiles.ts'
import { RestartRecovery, TakeoverRecovery } from '../src/proof/recovery.ts'
import { makeReport } from '../src/proof/report.ts'
import { Tally } from '../src/proof/tally.ts'

function entry(sequence: number, more: Partial<JournalEntry> = {}): JournalEntry {
  const publishedAtMs = 1_000 + sequence
  return {
    sequence,
    id: `${publishedAtMs}-0`,
    publishedAtMs,
    atMs: publishedAtMs + 2,
    redelivered: false,
    ...more,
  }
}

describe('a tally', () => {
  test('counts what came more than once apart from what came', () => {
    const tally = new Tally('stream')
    for (const sequence of [0, 1, 1, 2, 1]) tally.add(entry(sequence), 'board-1')
    expect(tally).toMatchObject({ received: 5, distinct: 3, duplicates: 2, outOfOrder: 0 })
  })

  test('finds what never came', () => {
    const tally = new Tally('stream')
    for (const sequence of [0, 2]) tally.add(entry(sequence), 'board-1')
    expect(tally.missing([0, 1, 2, 3])).toBe(2)
  })

  test('sees an event that comes after a later one, across the processes of a consumer', () => {
    const tally = new Tally('stream')
    tally.add(entry(0), 'board-1')
    tally.add(entry(2), 'board-1')
    tally.add(entry(1), 'board-2')
    expect(tally.outOfOrder).toBe(1)
  })

  test('lets a successor repeat what its predecessor had handled', () => {
    const tally = new Tally('stream')
    for (const sequence of [0, 1, 2]) tally.add(entry(sequence), 'board-1')
    for (const sequence of [1, 2, 3]) tally.add(entry(sequence), 'board-2')
    expect(tally).toMatchObject({ outOfOrder: 0, duplicates: 2 })
  })

  test('asks each member of a group for the order of what it got first only', () => {
    const tally = new Tally('member')
    tally.add(entry(5), 'worker-1')
    tally.add(entry(4), 'worker-2')
    tally.add(entry(3, { redelivered: true }), 'worker-1')
    expect(tally.outOfOrder).toBe(0)
    tally.add(entry(2), 'worker-2')
    expect(tally.outOfOrder).toBe(1)
  })

  test('measures the first handling, and leaves out what was published while nobody was there', () => {
    const tally = new Tally('stream')
    tally.add(entry(0), 'board-1')
    tally.add(entry(10, { atMs: 1_510 }), 'board-2')
    tally.add(entry(0, { atMs: 1_520 }), 'board-2')
    expect(tally.latencyMs(1)).toBe(500)
    expect(tally.latencyMs(1, [{ fromMs: 1_005, toMs: 1_510 }])).toBe(2)
  })
})

test('a percentile is the smallest sample that enough samples do not exceed', () => {
  const samples = [5, 1, 4, 2, 3]
  expect([0, 0.5, 0.99].map((share) => percentile(samples, share))).toEqual([1, 3, 5])
  expect(percentile([], 0.5)).toBeUndefined()
})

describe('recovery', () => {
  test('of a restart ends with the first event that the successor handles', () => {
    const recovery = new RestartRecovery('board-2', 2_000)
    recovery.see(entry(0, { atMs: 2_001 }), 'statistics')
    expect(recovery.durationMs).toBeUndefined()
    recovery.see(entry(1, { atMs: 2_400 }), 'board-2')
    recovery.see(entry(2, { atMs: 2_500 }), 'board-2')
    expect(recovery.durationMs).toBe(400)
    expect(recovery.outage).toEqual({ fromMs: 2_000, toMs: 2_400 })
  })

  test('of a takeover ends when other members have handled all that the dead one left', () => {
    const recovery = new TakeoverRecovery('worker-2', ['worker-1', 'worker-2'], 2_000)
    recovery.claimed('worker-2:abc', 2)
    recovery.claimed('worker-1:def', 5)
    recovery.see(entry(0, { atMs: 2_001, redelivered: true }), 'board-2')
    recovery.see(entry(1, { atMs: 2_002 }), 'worker-1')
    recovery.see(entry(2, { atMs: 2_300, redelivered: true }), 'worker-1')
    expect(recovery.durationMs).toBeUndefined()
    recovery.see(entry(3, { atMs: 2_350, redelivered: true }), 'worker-1')
    expect(recovery).toMatchObject({ events: 2, durationMs: 350 })
  })
})

describe('journals on disk', () => {
  let folder = ''
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'millrace-demo-test-'))
  })
  afterEach(() => {
    rmSync(folder, { recursive: true })
  })

  function newJournal(name: string): string {
    const path = join(folder, name)
    closeSync(openSync(path, 'wx'))
    return path
  }

  test('are read while they grow, whole lines only', () => {
    const path = newJournal('board')
    const reader = new JournalReader(path)
    using journal = new Journal(path)
    journal.append(entry(0))
    expect(reader.read()).toEqual([entry(0)])
    const line = formatEntry(entry(1, { redelivered: true }))
    appendFileSync(path, line.slice(0, 9))
    expect(reader.read()).toEqual([])
    appendFileSync(path, line.slice(9))
    expect(reader.read()).toEqual([entry(1, { redelivered: true })])
    reader.close()
  })

  test('longer than one chunk are read in one go', () => {
    const path = newJournal('board')
    const entries = Array.from({ length: 5_000 }, (_, sequence) => entry(sequence))
    appendFileSync(path, entries.map(formatEntry).join(''))
    const reader = new JournalReader(path)
    expect(reader.read()).toEqual(entries)
    reader.close()
  })

  test('that are something else are refused', () => {
    const path = newJournal('board')
    appendFileSync(path, 'hello\n')
    const reader = new JournalReader(path)
    expect(() => reader.read()).toThrow('no line of a journal')
    reader.close()
  })

  test('are held against what was published: one missing event fails the report', () => {
    const ledger = new Ledger()
    ledger.addConsumer('board', 'stream')
    const producerPath = newJournal('producer')
    const boardPath = newJournal('board')
    ledger.followProducer(producerPath)
    ledger.followConsumer(boardPath, 'board', 'board-1')
    appendFileSync(producerPath, [0, 1, 2].map((one) => formatEntry(entry(one))).join(''))
    appendFileSync(boardPath, [0, 2].map((one) => formatEntry(entry(one))).join(''))
    ledger.read()
    const report = makeReport(ledger, {})
    expect(report.consumers['board']).toEqual({
      received: 2,
      distinct: 2,
      lost: 1,
      outOfOrder: 0,
      duplicates: 0,
      p50Ms: 2,
      p99Ms: 2,
    })
    expect(report).toMatchObject({ published: 3, recoveryMs: null, ok: false })
    appendFileSync(boardPath, formatEntry(entry(1)))
    ledger.read()
    expect(makeReport(ledger, {})).toMatchObject({ ok: false })
    expect(ledger.consumers.get('board')).toMatchObject({ outOfOrder: 1 })
    ledger.close()
  })
})
