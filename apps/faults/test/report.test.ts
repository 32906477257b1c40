import { describe, expect, test } from 'vitest'
import { catalogue } from '../src/faults/catalogue.ts'
import type { Fault } from '../src/faults/fault.ts'
import type { Verdict } from '../src/proof/judge.ts'
import { reportOf } from '../src/report.ts'
import type { Strike } from '../src/run/strike.ts'
import { linesOf } from '../src/screen/lines.ts'

const facts = { expired: 0, refused: {}, problems: [], spooled: undefined }
const well: Verdict = {
  events: 100,
  lost: 0,
  outOfOrder: 0,
  duplicates: 3,
  removed: 0,
  forgotten: 0,
  storedTwice: 0,
  deadLettered: 0,
  missing: [],
}
const quick: Strike = {
  startMs: 0,
  endMs: 1_000,
  recoveryMs: 120.4,
  repairMs: 5,
  settledMs: 60,
  withinBound: true,
  problems: [],
}

describe('a report', () => {
  test('is ok when nothing is lost or out of order and the flow resumed; duplicates are no harm', () => {
    expect(reportOf(faultNamed('consumer-killed'), quick, well, facts)).toMatchObject({
      name: 'consumer-killed',
      events: 100,
      lost: 0,
      outOfOrder: 0,
      duplicates: 3,
      recoveryMs: 120,
      ok: true,
      bound: { until: 'flow', ms: 2_000, kept: true },
    })
  })

  test.each([
    [
      'lost',
      { ...well, lost: 1, missing: [{ number: 9, reader: 'mail', acceptedAtMs: 1 }] },
      quick,
    ],
    ['out of order', { ...well, outOfOrder: 1 }, quick],
    ['twice', { ...well, storedTwice: 1 }, quick],
    ['flowed only', well, { ...quick, recoveryMs: 10_001 }],
    ['after the repair', well, { ...quick, repairMs: 10_001 }],
    ['no new event', well, { ...quick, recoveryMs: undefined, problems: ['no new event'] }],
  ] as const)('is not ok where something is %s', (word, verdict, strike) => {
    const report = reportOf(faultNamed('redis-killed'), strike, verdict, facts)
    expect(report.ok).toBe(false)
    expect(report.problems.join()).toContain(word)
    expect(linesOf(report)[0]).toContain('FAILED')
  })

  test('is not ok where publish() failed in a way that no fault explains', () => {
    const refused = { OUT_OF_MEMORY: 5 }
    const plan = faultNamed('out-of-memory')
    expect(reportOf(plan, quick, well, { ...facts, refused }).ok).toBe(true)
    const internal = { ...facts, refused: { INTERNAL: 1 } }
    expect(reportOf(plan, quick, well, internal).problems.join()).toContain('INTERNAL')
  })

  test('counts what the spool accepted, and is not ok where that was nothing', () => {
    const plan = faultNamed('spool-redis-killed')
    const report = reportOf(plan, quick, well, { ...facts, spooled: 40 })
    expect(report).toMatchObject({ ok: true, spooled: 40 })
    expect(linesOf(report)[0]).toContain('40 accepted by the spool')
    const empty = reportOf(plan, quick, well, { ...facts, spooled: 0 })
    expect(empty.problems).toEqual(['nothing went to the spool'])
  })

  test('is ok when its own bound is missed, and says so', () => {
    const strike = { ...quick, recoveryMs: 2_500, withinBound: false }
    const report = reportOf(faultNamed('consumer-killed'), strike, well, facts)
    expect(report).toMatchObject({ ok: true, bound: { kept: false } })
    expect(linesOf(report)[0]).toContain('OVER 2.00 s')
  })

  test('allows what Redis lost itself only where the settings allow it', () => {
    const verdict = { ...well, forgotten: 4 }
    const killed = reportOf(faultNamed('sentinel-master-killed'), quick, verdict, facts)
    expect(killed).toMatchObject({ ok: true, forgotten: 4 })
    const safe = reportOf(faultNamed('sentinel-master-killed-safe'), quick, verdict, facts)
    expect(safe.ok).toBe(false)
  })
})

function faultNamed(name: string): Fault {
  const found = catalogue.find((fault) => fault.name === name)
  if (found === undefined) throw new Error(`there is no fault ${name}`)
  return found
}
