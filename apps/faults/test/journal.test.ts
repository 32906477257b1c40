import { appendFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { journalPath } from '../src/cast/messages.ts'
import { formatEntry, Journal, JournalReader, parseEntry } from '../src/proof/journal.ts'
import { Ledger } from '../src/proof/ledger.ts'

let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-faults-test-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

describe('a journal', () => {
  test('is read while it grows, line by line, and a line without its end is left for later', () => {
    const path = join(folder, 'one')
    using reader = new JournalReader(path)
    expect(reader.read()).toEqual([])
    using journal = new Journal(path)
    const entry = { number: 7, publishedAtMs: 1.5, atMs: 2.25 }
    journal.append(entry)
    const line = formatEntry({ ...entry, number: 8 })
    appendFileSync(path, line.slice(0, 4))
    expect(reader.read()).toEqual([entry])
    appendFileSync(path, line.slice(4))
    expect(reader.read()).toEqual([{ ...entry, number: 8 }])
  })

  test('that somebody else wrote is refused', () => {
    expect(() => parseEntry('1 2')).toThrow(/no line of a journal/)
  })
})

describe('the ledger', () => {
  test('knows what is awaited, who handled last, and when all had arrived', () => {
    using producer = new Journal(journalPath(folder, 'producer'))
    using ledger = new Ledger(folder)
    for (const number of [1, 2]) producer.append({ number, publishedAtMs: number, atMs: number })
    ledger.catchUp()
    expect(ledger.awaited(1).map(({ number }) => number)).toEqual([1])
    expect(ledger.lastHandler('ledger')).toBeUndefined()

    for (const name of ['ledger-1', 'board-2', 'mail-3', 'billing-1'] as const) {
      using journal = new Journal(journalPath(folder, name))
      journal.append({ number: 1, publishedAtMs: 1, atMs: 10 })
    }
    using standby = new Journal(journalPath(folder, 'ledger-2'))
    standby.append({ number: 1, publishedAtMs: 1, atMs: 30 })
    ledger.catchUp()
    expect(ledger.awaited(1)).toEqual([])
    expect(ledger.awaited(2)).toHaveLength(1)
    expect(ledger.settledAtMs(1)).toBe(10)
    expect(ledger.lastHandler('ledger')).toBe('ledger-2')
  })

  test('takes the flow for resumed once every reader had an event that was published afterwards', () => {
    using ledger = new Ledger(folder)
    const watch = ledger.watchFlow(100)
    const handle = (
      name: 'billing-2' | 'board-1' | 'ledger-1' | 'mail-1',
      publishedAtMs: number,
    ) => {
      using journal = new Journal(journalPath(folder, name))
      journal.append({ number: publishedAtMs, publishedAtMs, atMs: publishedAtMs + 50 })
      ledger.catchUp()
    }
    for (const name of ['ledger-1', 'mail-1', 'billing-2'] as const) handle(name, 101)
    // What it had received before does not show that it is well.
    handle('board-1', 99)
    expect(watch.waitingFor).toEqual(['board'])
    expect(watch.tookMs).toBeUndefined()
    handle('board-1', 103)
    expect(watch.tookMs).toBe(53)
  })
})
