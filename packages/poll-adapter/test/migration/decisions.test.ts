import { describe, expect, it } from 'vitest'
import type { Ledger } from '../../src/bridge/ledger.ts'
import { compareCursors, type CursorClass } from '../../src/change/cursor.ts'
import { unhealthyReason } from '../../src/migration/health.ts'
import { locate, type Place } from '../../src/migration/locate.ts'
import {
  decideSwitch,
  type MigrationRecord,
  migrationStates,
  modeOf,
  mustHandOver,
} from '../../src/migration/state.ts'

const record: MigrationRecord = {
  poller: 'board',
  state: 'shadow',
  epoch: 7,
  acting: { mode: 'shadow', epoch: 7 },
  waiting: '',
  fallback: '',
  capability: { kind: 'exact' },
}

describe('a switch', () => {
  const request = { who: 'me', why: 'because' }

  it('leads from every state to every other one, with the next epoch', () => {
    for (const from of migrationStates) {
      for (const to of migrationStates) {
        const verdict = decideSwitch({ ...record, state: from }, { ...request, to })
        if (from === to) expect(verdict.action).toBe('none')
        else expect(verdict).toEqual({ action: 'switch', epoch: 8 })
      }
    }
  })

  it.each([
    ['no process has run', undefined],
    ['no cursor that can be compared', { kind: 'unknown' } as const],
  ])('beyond shadow is refused where there is %s', (reason, capability) => {
    for (const to of ['stream', 'stream-with-fallback'] as const) {
      const verdict = decideSwitch({ ...record, capability }, { ...request, to })
      expect(verdict).toMatchObject({ action: 'refuse', reason: expect.stringContaining(reason) })
    }
    expect(decideSwitch({ ...record, capability }, { ...request, to: 'poll' }).action).toBe(
      'switch',
    )
  })

  it('polls while the stream is not relied on', () => {
    expect(modeOf('stream-with-fallback', '')).toBe('stream')
    expect(modeOf('stream-with-fallback', 'the bridge is silent')).toBe('poll')
    expect(modeOf('stream', 'whatever')).toBe('stream')
    expect(mustHandOver(record)).toBe(false)
    expect(mustHandOver({ ...record, epoch: 8 })).toBe(true)
  })
})

describe('the place in the stream', () => {
  const exact: CursorClass = { kind: 'exact', compare: compareCursors }
  const overlap: CursorClass = {
    kind: 'overlap',
    compare: compareCursors,
    before: (cursor) => Number(cursor) - 10,
  }
  const ledger: Ledger = {
    step: 9,
    began: true,
    incarnation: 'i',
    from: undefined,
    cursor: 100,
    lastId: '9-0',
    atBorder: true,
    borders: [
      { cursor: 20, id: '2-0', fetches: 2 },
      { cursor: 50, id: '5-0', fetches: 5 },
    ],
    started: 9,
    fetches: 9,
    silentMs: 0,
    life: { sign: '1-x 7', leaseMs: 4_000 },
  }
  const facts = { incarnation: 'i', trimmed: '' }
  const found = (id: string): Place => ({ found: true, id })

  it('lies where everything before it is handled', () => {
    expect(locate(exact, 60, 0, ledger, facts)).toEqual(found('5-0'))
    expect(locate(exact, 100, 0, ledger, facts)).toEqual(found('9-0'))
    expect(locate(exact, 5_000, 0, ledger, facts)).toEqual(found('9-0'))
    expect(locate(exact, 19, 0, ledger, facts)).toEqual(found('0-0'))
    expect(locate(exact, undefined, 0, ledger, facts)).toEqual(found('0-0'))
    // What lies within the overlap may have been missed by the poller.
    expect(locate(overlap, 59, 0, ledger, facts)).toEqual(found('2-0'))
    expect(locate(overlap, 105, 0, ledger, facts)).toEqual(found('5-0'))
    expect(locate({ kind: 'border' }, 50, 0, ledger, facts)).toEqual(found('5-0'))
    expect(locate({ kind: 'snapshot' }, undefined, 4, ledger, facts)).toEqual(found('2-0'))
  })

  it('is waited for where events would be missing', () => {
    const reasonOf = (place: Place): string => (place.found ? '' : place.reason)
    const late = { ...ledger, from: 15, borders: [] }
    expect(reasonOf(locate(exact, 14, 0, late, facts))).toContain('the bridge began at 15')
    expect(reasonOf(locate(exact, undefined, 0, late, facts))).toContain('the bridge began at 15')
    expect(reasonOf(locate(exact, 60, 0, ledger, { ...facts, trimmed: '5-1' }))).toContain(
      'retention',
    )
    expect(reasonOf(locate(overlap, 111, 0, ledger, facts))).toContain('the bridge is at 100')
    expect(reasonOf(locate({ kind: 'border' }, 51, 0, ledger, facts))).toContain('has not passed')
    expect(reasonOf(locate(exact, 60, 0, { ...ledger, began: false }, facts))).toContain(
      'no bridge',
    )
    expect(reasonOf(locate(exact, 60, 0, ledger, { ...facts, incarnation: 'j' }))).toContain(
      'created anew',
    )
  })
})

describe('the health of a stream', () => {
  const well = { bridgeSilentMs: 10, consumerIdleMs: 0, stopped: '', broken: '' }

  it.each([
    ['', {}],
    ['the bridge has not been heard of for 1001 ms', { bridgeSilentMs: 1_001 }],
    ['the bridge has never been heard of', { bridgeSilentMs: Number.POSITIVE_INFINITY }],
    ['the consumer could not read for 1001 ms', { consumerIdleMs: 1_001 }],
    ['the consumer has stopped: GAP', { stopped: 'GAP', bridgeSilentMs: 5_000 }],
    ['the stream was created anew', { broken: 'the stream was created anew' }],
  ])('%s', (reason, signs) => {
    expect(unhealthyReason({ ...well, ...signs }, 1_000)).toBe(reason)
  })
})
