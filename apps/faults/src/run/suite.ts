import { Beds } from '../beds/beds.ts'
import { findServer } from '../beds/find-server.ts'
import { Cast } from '../cast/cast.ts'
import type { Fault } from '../faults/fault.ts'
import type { Options } from '../options.ts'
import type { FaultReport, SuiteReport } from '../report.ts'
import { failedReport } from '../report.ts'
import { heading, linesOf } from '../screen/lines.ts'
import type { Screen } from '../screen/screen.ts'
import { alone } from './alone.ts'
import { shuffled } from './shuffled.ts'

/** Runs everything that was asked for, and reports each fault as soon as it is over. */
export async function runSuite(
  options: Options,
  screen: Screen,
  signal: AbortSignal,
): Promise<SuiteReport> {
  const binary =
    options.server &&
    (await findServer(
      options.server,
      (line) => {
        screen.say(line)
      },
      signal,
    ))
  await using beds = new Beds(binary)
  await using cast = new Cast()
  const { eventsPerSecond, seed, shuffledMinutes } = options
  const reports: FaultReport[] = []
  const note = (report: FaultReport): void => {
    reports.push(report)
    for (const line of linesOf(report)) screen.say(line)
  }
  if (binary !== undefined) screen.say(`on ${binary.product} ${binary.version}`)
  screen.say(heading)
  for (const [index, fault] of options.faults.entries()) {
    screen.progress(`${index + 1} of ${options.faults.length}: ${fault.name}: ${fault.about}`)
    const scene = { number: index, eventsPerSecond, signal }
    note(await attempt(fault, beds, () => alone(fault, beds, cast, scene), signal))
  }
  if (shuffledMinutes > 0) {
    screen.say(`shuffled from seed ${seed} for ${shuffledMinutes} minutes`)
    const first = options.faults.length
    const plan = { minutes: shuffledMinutes, seed, eventsPerSecond, firstScene: first, signal }
    await shuffled(plan, beds, cast, screen, note)
  }
  screen.progress('')
  return { faults: reports, seed, ok: reports.every(({ ok }) => ok) }
}

/** A scene that cannot be played is a failure of its own, and the next one gets other servers. */
async function attempt(
  fault: Fault,
  beds: Beds,
  play: () => Promise<FaultReport>,
  signal: AbortSignal,
): Promise<FaultReport> {
  try {
    return await play()
  } catch (error) {
    signal.throwIfAborted()
    await beds.discard(fault.topology)
    return failedReport(fault.name, error)
  }
}
