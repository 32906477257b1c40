import type { Topology } from '../beds/bed.ts'
import type { Beds } from '../beds/beds.ts'
import type { Cast } from '../cast/cast.ts'
import { nowMs } from '../clock.ts'
import { catalogue } from '../faults/catalogue.ts'
import type { Fault } from '../faults/fault.ts'
import { judge, narrowed } from '../proof/judge.ts'
import { failedReport, type FaultReport, reportOf, roundReport } from '../report.ts'
import type { Screen } from '../screen/screen.ts'
import { oneOf, seededRandom } from './random.ts'
import { Scene } from './scene.ts'
import { type Strike, strike } from './strike.ts'

export interface ShufflePlan {
  readonly minutes: number
  readonly seed: number
  readonly eventsPerSecond: number
  readonly firstScene: number
  readonly signal: AbortSignal
}

/** Where the rounds take place, in turn: most faults are those of a single server. */
const TURNS: readonly Topology[] = ['standalone', 'cluster', 'standalone', 'sentinel']
/** How long one round's load goes on uninterrupted, in milliseconds. */
const ROUND_MS = 150_000
/** The longest pause between two faults, in milliseconds. */
const LONGEST_CALM_MS = 1_500

/**
 * Lets random faults happen one after the other while events flow uninterrupted. After some minutes
 * the load pauses, all that was accepted is accounted for, and the next round begins elsewhere.
 */
export async function shuffled(
  plan: ShufflePlan,
  beds: Beds,
  cast: Cast,
  screen: Screen,
  note: (report: FaultReport) => void,
): Promise<void> {
  const random = seededRandom(plan.seed)
  const endMs = nowMs() + plan.minutes * 60_000
  for (let round = 0; nowMs() < endMs; round += 1) {
    const topology = TURNS[round % TURNS.length] ?? 'standalone'
    const roundMs = Math.min(ROUND_MS, endMs - nowMs())
    try {
      await play({ ...plan, round, topology, random, roundMs }, beds, cast, screen, note)
    } catch (error) {
      plan.signal.throwIfAborted()
      await beds.discard(topology)
      note(failedReport(roundName(round, topology), error))
    }
  }
}

interface RoundPlan extends ShufflePlan {
  readonly round: number
  readonly topology: Topology
  readonly random: () => number
  readonly roundMs: number
}

async function play(
  plan: RoundPlan,
  beds: Beds,
  cast: Cast,
  screen: Screen,
  note: (report: FaultReport) => void,
): Promise<void> {
  const { round, topology, random, roundMs, eventsPerSecond, signal, firstScene } = plan
  const bed = await beds.get(topology)
  const elsewhere = random() < 0.5
  const spools = topology === 'standalone' && random() < 0.5
  const number = firstScene + round
  await using scene = await Scene.open(bed, cast, {
    number,
    eventsPerSecond,
    elsewhere,
    spools,
    signal,
  })
  const faults = catalogue.filter((fault) => suits(fault, { topology, elsewhere, spools }))
  const endMs = nowMs() + roundMs
  const struck: Struck[] = []
  do {
    const fault = oneOf(faults, random)
    screen.progress(`round ${round + 1} on ${topology}: ${fault.name}: ${fault.about}`)
    const fromMs = nowMs()
    const how = await strike(scene, fault)
    await scene.pause(random() * LONGEST_CALM_MS)
    struck.push({ fault, how, fromMs, toMs: nowMs() })
    screen.say(`  ${fault.name}: ${flowAgain(how)}`)
  } while (nowMs() < endMs)
  const account = await scene.close()
  // What went wrong with processes is a matter of the whole round.
  const nothing = { refused: {}, problems: [], expired: 0, spooled: undefined }
  for (const { fault, how, fromMs, toMs } of struck)
    note(reportOf(fault, how, judge(narrowed(account, fromMs, toMs)), nothing))
  const { refused, problems, spooled } = scene
  const facts = { refused, problems, expired: cast.expired, spooled }
  const recoveries = struck.map(({ how }) => how.recoveryMs)
  note(roundReport(roundName(round, topology), recoveries, judge(account), facts))
}

/** A fault of a round, and from when to when accepted events are counted as its own. */
interface Struck {
  readonly fault: Fault
  readonly how: Strike
  readonly fromMs: number
  readonly toMs: number
}

function flowAgain({ recoveryMs }: Strike): string {
  return recoveryMs === undefined ? 'no flow' : `flow again after ${Math.round(recoveryMs)} ms`
}

function suits(
  fault: Fault,
  {
    topology,
    elsewhere,
    spools,
  }: { readonly topology: Topology; readonly elsewhere: boolean; readonly spools: boolean },
): boolean {
  if (fault.topology !== topology || (fault.spools === true && !spools)) return false
  return fault.elsewhere === undefined || fault.elsewhere === elsewhere
}

function roundName(round: number, topology: Topology): string {
  return `round ${round + 1} (${topology})`
}
