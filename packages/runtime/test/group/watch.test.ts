import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { OtherMember } from '../../src/group/answers.ts'
import { parseMemberRecord } from '../../src/group/member-record.ts'
import { judgeOthers, nothingSeen, type Observations } from '../../src/group/watch.ts'
import { formatHost, type HostIdentity, identifyHost } from '../../src/lease/host.ts'
import { beatEveryMs, lookEveryMs } from '../../src/lease/observation.ts'

const LEASE_MS = 4_000

function other(
  beat: number,
  standing = 'live',
  pending: number | undefined = 3,
  detail = '',
): OtherMember {
  return {
    name: 'a:1',
    record: parseMemberRecord(`1-1|${beat}|${LEASE_MS}|${standing}|${detail}`),
    pending,
  }
}

/** When, after the last beat, an observer that looks as a keeper does takes over. */
function takeOverMs(phaseMs: number, lateMs: number): number {
  let seen: Observations = nothingSeen
  // The last beat comes at 0; looks begin before it.
  for (let nowMs = phaseMs - 3_000; ; ) {
    const beat = nowMs < 0 ? 1 + Math.floor((nowMs + 4_000) / beatEveryMs(LEASE_MS)) : 9
    const { observations, claimable, nextInMs } = judgeOthers(
      seen,
      [other(beat)],
      nowMs,
      LEASE_MS,
      undefined,
    )
    if (claimable.length > 0) return nowMs
    seen = observations
    nowMs += Math.min(lookEveryMs(LEASE_MS), beatEveryMs(LEASE_MS), nextInMs + 1) + lateMs
  }
}

describe('watching the others', () => {
  it('takes over 1 to 1.4 leases after the last beat, so 0.7 to 1.4 after the death of its holder', () => {
    fc.assert(
      fc.property(fc.nat(1_000), fc.nat(100), (phaseMs, lateMs) => {
        const tookMs = takeOverMs(phaseMs, lateMs)
        expect(tookMs).toBeGreaterThanOrEqual(LEASE_MS)
        expect(tookMs).toBeLessThanOrEqual(1.4 * LEASE_MS)
      }),
    )
  })

  it('looks often enough for a lease that is shorter than its own', () => {
    const short = { name: 'a:1', record: parseMemberRecord('1-1|1|500|live|'), pending: 1 }
    let seen: Observations = nothingSeen
    let nowMs = 0
    const looksMs: number[] = []
    for (let found = false; !found && looksMs.length < 10; nowMs += looksMs.at(-1) ?? 0) {
      const findings = judgeOthers(seen, [short], nowMs, 60_000, undefined)
      found = findings.claimable.length > 0
      seen = findings.observations
      looksMs.push(found ? 0 : findings.nextInMs)
    }
    expect(nowMs).toBe(500)
  })

  it('never takes over from a member that beats, however late the looks come', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 20_000 }), { maxLength: 50 }), (pauses) => {
        let seen: Observations = nothingSeen
        let nowMs = 0
        for (const pauseMs of pauses) {
          nowMs += pauseMs
          const beat = Math.floor(nowMs / beatEveryMs(LEASE_MS))
          const findings = judgeOthers(seen, [other(beat)], nowMs, LEASE_MS, undefined)
          expect(findings.claimable).toEqual([])
          seen = findings.observations
        }
      }),
    )
  })

  it('starts again after a look that failed', () => {
    const first = judgeOthers(nothingSeen, [other(1)], 0, LEASE_MS, undefined)
    const later = judgeOthers(first.observations, [other(1)], 2_000, LEASE_MS, undefined)
    expect(
      judgeOthers(later.observations, [other(1)], 4_000, LEASE_MS, undefined).claimable,
    ).toHaveLength(1)
    expect(judgeOthers(nothingSeen, [other(1)], 4_000, LEASE_MS, undefined).claimable).toEqual([])
  })

  it('claims at once what was released, and what a revoked name has again', () => {
    const claimableNow = (member: OtherMember): string[] =>
      judgeOthers(nothingSeen, [member], 0, LEASE_MS, undefined).claimable.map(({ why }) => why)
    expect(claimableNow(other(1, 'released'))).toEqual(['released'])
    expect(claimableNow(other(1, 'released', 0))).toEqual(['released'])
    expect(claimableNow(other(1, 'revoked'))).toEqual(['revoked'])
    expect(
      judgeOthers(
        nothingSeen,
        [{ ...other(1, 'revoked'), pending: undefined }],
        0,
        LEASE_MS,
        undefined,
      ).claimable,
    ).toEqual([])
  })

  it('gives a name without a record one lease, and leaves it alone while it has nothing', () => {
    const stranger = { name: 'x', record: undefined, pending: 1 }
    const idle = judgeOthers(nothingSeen, [{ ...stranger, pending: 0 }], 0, LEASE_MS, undefined)
    expect(idle.observations.size).toBe(0)
    let seen: Observations = nothingSeen
    const whys: string[] = []
    for (let nowMs = 0; nowMs <= LEASE_MS; nowMs += 1_000) {
      const findings = judgeOthers(seen, [stranger], nowMs, LEASE_MS, undefined)
      whys.push(...findings.claimable.map(({ why }) => `${nowMs} ${why}`))
      seen = findings.observations
    }
    expect(whys).toEqual(['4000 unknown'])
  })

  it('takes over at once from a process of this host that does not exist, never from one of another', () => {
    const here = identifyHost()
    if (here === undefined) throw new Error('this system has no /proc')
    const gone: HostIdentity = { ...here, startTime: '1' }
    const why = (host: HostIdentity): string[] =>
      judgeOthers(
        nothingSeen,
        [other(1, 'live', 3, formatHost(host))],
        0,
        LEASE_MS,
        here,
      ).claimable.map((c) => c.why)
    expect(why(gone)).toEqual(['host-gone'])
    expect(why(here)).toEqual([])
    expect(why({ ...gone, bootId: 'another' })).toEqual([])
  })
})
