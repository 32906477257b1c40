import { setTimeout as sleep } from 'node:timers/promises'
import { carryOut } from '../harness/carry-out.ts'
import { CompileCache } from '../harness/compile-cache.ts'
import { Judge } from '../harness/criterion.ts'
import { planRounds, type Variant } from '../harness/plan.ts'
import type { Series } from '../harness/plot.ts'
import type { Findings } from '../harness/report.ts'
import type { Figures, Samples } from '../harness/samples.ts'
import { table } from '../harness/table.ts'
import type { Benchmark, Workbench } from '../harness/workbench.ts'
import { missing, resumedUs, waitsOver } from './flow.ts'
import { type Scenario, scenarios } from './scenarios.ts'
import { LEASE_MS, Stage } from './stage.ts'

/**
 * Claim: whatever dies, events flow again within 10 s at worst, within 2 s when a consumer is started again
 * where it was, and within one and a half leases when somebody elsewhere has to take over (SC-004).
 *
 * How it is measured:
 * - Each scenario has a server and processes of its own, in default options (the lease is 4 s): a producer
 *   with 100 events a second, and consumers, standbys or members of a group. Those that stand for processes
 *   on other hosts do not use what a process can know about others on its own host.
 * - The producer writes down what was accepted, and handlers what they have handled, in files that survive
 *   SIGKILL.
 * - The flow has resumed when an event that was sent after the beginning of the time has been handled, and
 *   every one that was sent before. The beginning is part of each scenario, and is printed with it.
 * - An accepted event that is never handled ends the benchmark with an error.
 * - A figure is the greatest of all rounds. Code is compiled once and kept, as in a build.
 */
export const recovery: Benchmark = {
  name: 'recovery',
  summary: 'every way of dying, and how long until events flow again',
  run,
}

/** Beats have been written and read, and the tail is open. */
const STEADY_MS = 2_000
/** So long it goes on after the flow has resumed. */
const AFTERWARDS_MS = 1_000
const LOOK_EVERY_MS = 100
const GIVE_UP_MS = 60_000

async function run(bench: Workbench): Promise<Findings> {
  await using compileCache = await CompileCache.open()
  const series: Series[] = []
  const variants = scenarios.map((scenario): Variant => {
    return {
      name: scenario.name,
      expectedMs: 6_000 + (scenario.waitsFor === 'lease' ? 1.2 * LEASE_MS : 2_000),
      run: async () => {
        const { figures, points } = await measure(scenario, compileCache)
        if (!series.some(({ name }) => name === scenario.name))
          series.push({ name: scenario.name, unit: 's that events waited', points })
        return figures
      },
    }
  })
  const samples = await carryOut(planRounds(bench.quick ? 1 : 2, variants), bench.tell)
  return {
    criteria: judge(bench.quick, samples).criteria,
    ratios: {},
    values: valuesOf(samples),
    rounds: samples.all,
    series,
    notes: [
      table(
        ['scenario', 'resumed after', 'what happens'],
        scenarios.map(({ name, what }) => [name, `${seconds(samples, name).toFixed(2)} s`, what]),
      ),
    ],
  }
}

async function measure(
  scenario: Scenario,
  compileCache: CompileCache,
): Promise<{ readonly figures: Figures; readonly points: Series['points'] }> {
  await using stage = await Stage.open(compileCache)
  const { act } = await scenario.set(stage)
  await flowing(stage)
  await sleep(STEADY_MS)
  const { fromUs, sender } = await act()
  const resumedAtUs = await resumed(stage, fromUs)
  await sleep(AFTERWARDS_MS)
  await sender.ask('stop', null)
  await allHandled(stage)
  const handled = await stage.handled()
  // What was sent before and handled only now counts as well.
  const settledAtUs = resumedUs(handled.values(), fromUs) ?? resumedAtUs
  return {
    figures: {
      resumedMs: (settledAtUs - fromUs) / 1_000,
      accepted: (await stage.accepted()).length,
      handled: handled.size,
    },
    points: waitsOver(handled.values(), fromUs),
  }
}

async function flowing(stage: Stage): Promise<void> {
  await until('events flow', async () => (await stage.handled()).size > 0)
}

async function resumed(stage: Stage, fromUs: number): Promise<number> {
  let atUs: number | undefined
  await until('the flow has resumed', async () => {
    atUs = resumedUs((await stage.handled()).values(), fromUs)
    return atUs !== undefined
  })
  return atUs ?? Number.NaN
}

async function allHandled(stage: Stage): Promise<void> {
  const accepted = await stage.accepted()
  await until('every accepted event has been handled', async () => {
    return missing(accepted, await stage.handled()).length === 0
  })
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const startMs = performance.now()
  while (!(await holds())) {
    if (performance.now() - startMs > GIVE_UP_MS)
      throw new Error(`waited for ${GIVE_UP_MS / 1_000} s until ${what}`)
    await sleep(LOOK_EVERY_MS)
  }
}

function judge(quick: boolean, samples: Samples): Judge {
  const judging = new Judge(quick)
  const worst = Math.max(...scenarios.map(({ name }) => seconds(samples, name)))
  judging.atMost('sc_004_worst', worst, { target: 10, quick: 30 }, 's')
  judging.atMost('sc_004_restart', seconds(samples, 'restart'), { target: 2, quick: 10 }, 's')
  for (const { name, waitsFor } of scenarios) {
    if (waitsFor !== 'lease') continue
    const leases = (seconds(samples, name) * 1_000) / LEASE_MS
    judging.atMost(`sc_004_${name}`, leases, { target: 1.5, quick: 5 }, 'leases')
  }
  return judging
}

function valuesOf(samples: Samples): Record<string, number> {
  return Object.fromEntries([
    ['lease_seconds', LEASE_MS / 1_000],
    ...scenarios.flatMap(({ name }) => [
      [`${name}_seconds`, seconds(samples, name)],
      [`${name}_median_seconds`, samples.median(name, 'resumedMs') / 1_000],
    ]),
  ])
}

function seconds(samples: Samples, scenario: string): number {
  return samples.greatest(scenario, 'resumedMs') / 1_000
}
