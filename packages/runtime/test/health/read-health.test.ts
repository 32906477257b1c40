import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { judgeHealth } from '../../src/health/health.ts'
import {
  deafAfterMs,
  judgeRead,
  type ReadFacts,
  type ReadHealth,
} from '../../src/health/read-health.ts'

const facts: ReadFacts = {
  stream: 'orders',
  name: 'mailer',
  kind: 'consumer',
  phase: 'reading',
  pausedBy: [],
  isFull: false,
  startedMs: -900_000,
  confirmedMs: 5_000,
  restedMs: undefined,
  trouble: '',
  holdsLease: true,
  inFlight: 3,
  mostInFlight: 100,
}
const patienceMs = deafAfterMs(2_000)

describe('one that reads', () => {
  test.each<[string, Partial<ReadFacts>, string, string]>([
    ['whose reads come back is reading', {}, 'reading', ''],
    [
      'that Redis has not answered yet is starting',
      { phase: 'starting', confirmedMs: undefined, startedMs: 5_500 },
      'starting',
      'Redis has not answered yet',
    ],
    [
      'that Redis has never answered for long is deaf',
      { phase: 'starting', confirmedMs: undefined, startedMs: -10_000, trouble: 'refused' },
      'deaf',
      'no read has come back for 16 s: refused',
    ],
    [
      'whose last read came back too long ago is deaf',
      { confirmedMs: -2_000 },
      'deaf',
      'no read has come back for 8 s',
    ],
    [
      'that stands by is well as long as looking succeeds',
      { phase: 'standby' },
      'standby',
      'somebody else holds the lease',
    ],
    [
      'that stands by and hears nothing is deaf',
      { phase: 'standby', confirmedMs: -9_000 },
      'deaf',
      '',
    ],
    [
      'that is paused is well however long it does not read',
      { pausedBy: ['user', 'night'], confirmedMs: -9_000 },
      'paused',
      'paused by user, night',
    ],
    [
      'that has all it can take is busy',
      { isFull: true, confirmedMs: -9_000 },
      'busy',
      'it has all it can take, up to 100 events',
    ],
    [
      'that ended by itself is stopped, whatever else holds',
      { phase: 'stopped', trouble: 'out of dead letters', pausedBy: ['user'] },
      'stopped',
      'out of dead letters',
    ],
    [
      'that has all it can take, but no lease that Redis confirms, is deaf',
      { kind: 'group', isFull: true, pausedBy: ['user'], holdsLease: false, confirmedMs: -9_000 },
      'deaf',
      'no read has come back for 15 s',
    ],
    [
      'that has no lease because it needs none may be busy',
      { kind: 'reader', isFull: true, holdsLease: false, confirmedMs: -9_000 },
      'busy',
      '',
    ],
    [
      'that asks again after a long rest is not deaf before it could hear',
      { confirmedMs: -90_000, restedMs: 5_900 },
      'reading',
      '',
    ],
    [
      'that asked again long ago and has heard nothing is deaf',
      { confirmedMs: -90_000, restedMs: -2_000 },
      'deaf',
      'no read has come back for 96 s',
    ],
    ['that was closed is closing', { phase: 'closing' }, 'closing', 'it was closed'],
  ])('%s', (_, change, state, reason) => {
    const judged = judgeRead({ ...facts, ...change }, 6_000, patienceMs)
    expect(judged.state).toBe(state)
    expect(judged.reason).toContain(reason)
  })

  test('is deaf exactly when nothing explains that no read came back', () => {
    fc.assert(
      fc.property(
        fc.boolean(),
        fc.boolean(),
        fc.integer({ min: 0, max: 60_000 }),
        (isPaused, isFull, agoMs) => {
          const pausedBy = isPaused ? ['user'] : []
          const given = { ...facts, pausedBy, isFull, confirmedMs: 100_000 - agoMs }
          const { state } = judgeRead(given, 100_000, patienceMs)
          expect(state === 'deaf').toBe(!isPaused && !isFull && agoMs > patienceMs)
        },
      ),
    )
  })
})

describe('a process', () => {
  const open = { isOpen: true, isCluster: false, blockMs: 2_000 } as const
  const reading = judgeRead(facts, 6_000, patienceMs)
  const deaf = (agoMs: number, holdsLease: boolean): ReadHealth =>
    judgeRead({ ...facts, name: 'deaf', confirmedMs: 6_000 - agoMs, holdsLease }, 6_000, patienceMs)

  test('without anything that reads is ready', () => {
    expect(judgeHealth([], { data: 1 }, open)).toMatchObject({ ready: true, live: true })
  })

  test('is not ready while one read is deaf, and says which', () => {
    const { ready, live, problems } = judgeHealth([reading, deaf(8_000, false)], {}, open)
    expect({ ready, live }).toEqual({ ready: false, live: true })
    expect(problems).toEqual(['Consumer deaf of orders is deaf: no read has come back for 8 s'])
  })

  test('asks for a restart when a read stays deaf although Redis answers', () => {
    expect(judgeHealth([reading, deaf(22_000, false)], {}, open).live).toBe(false)
    expect(judgeHealth([deaf(22_000, true)], {}, open).live).toBe(false)
  })

  test('asks for a restart when a read has never come back since the start although Redis answers', () => {
    const never = (startedMs: number): ReadHealth =>
      judgeRead(
        { ...facts, phase: 'starting', confirmedMs: undefined, holdsLease: false, startedMs },
        6_000,
        patienceMs,
      )
    expect(never(-15_500)).toMatchObject({ state: 'deaf', unansweredMs: 21_500 })
    expect(judgeHealth([reading, never(-15_500)], {}, open).live).toBe(false)
    expect(judgeHealth([never(-15_500)], {}, open).live).toBe(true)
    expect(judgeHealth([reading, never(-10_000)], {}, open).live).toBe(true)
  })

  test('asks for no restart because of the time in which a read had no need to ask', () => {
    const after = (restedMs: number): ReadHealth =>
      judgeRead({ ...facts, confirmedMs: -90_000, restedMs }, 6_000, patienceMs)
    expect(after(-2_000)).toMatchObject({ state: 'deaf', unansweredMs: 8_000 })
    expect(judgeHealth([reading, after(-2_000)], {}, open).live).toBe(true)
    expect(judgeHealth([reading, after(-16_000)], {}, open).live).toBe(false)
  })

  test('asks for no restart because of one node of a cluster that is away', () => {
    const elsewhere = { ...deaf(22_000, false), stream: 'returns' }
    const cluster = { ...open, isCluster: true }
    expect(judgeHealth([reading, elsewhere], {}, cluster).live).toBe(true)
    expect(judgeHealth([reading, elsewhere], {}, open).live).toBe(false)
    expect(judgeHealth([reading, deaf(22_000, false)], {}, cluster).live).toBe(false)
  })

  test('asks for no restart while Redis is away', () => {
    expect(judgeHealth([deaf(22_000, false), deaf(30_000, false)], {}, open).live).toBe(true)
  })

  test('asks for a restart when something has stopped by itself', () => {
    const stopped = judgeRead({ ...facts, phase: 'stopped', trouble: 'x' }, 6_000, patienceMs)
    expect(judgeHealth([stopped], {}, open)).toMatchObject({ ready: false, live: false })
  })

  test('that was closed is not ready', () => {
    const { ready, problems } = judgeHealth([reading], {}, { ...open, isOpen: false })
    expect(ready).toBe(false)
    expect(problems).toEqual(['Millrace was closed'])
  })
})
