import type { Beds } from '../beds/beds.ts'
import type { Cast } from '../cast/cast.ts'
import type { Fault } from '../faults/fault.ts'
import { judge } from '../proof/judge.ts'
import { type FaultReport, reportOf } from '../report.ts'
import { Scene, type SceneOptions } from './scene.ts'
import { strike } from './strike.ts'

/** How long events flow before the fault and after the repair, in milliseconds. */
const BEFORE_MS = 700
const AFTER_MS = 300

/** Lets one fault happen in a scene of its own, and counts. */
export async function alone(
  fault: Fault,
  beds: Beds,
  cast: Cast,
  options: Omit<SceneOptions, 'elsewhere' | 'spools'>,
): Promise<FaultReport> {
  const bed = await beds.get(fault.topology)
  const { elsewhere = false, spools = false } = fault
  await using scene = await Scene.open(bed, cast, { ...options, elsewhere, spools })
  await scene.pause(BEFORE_MS)
  const struck = await strike(scene, fault)
  await scene.pause(AFTER_MS)
  const verdict = judge(await scene.close())
  const { refused, problems, spooled } = scene
  return reportOf(fault, struck, verdict, { refused, problems, spooled, expired: cast.expired })
}
