import { setTimeout as sleep } from 'node:timers/promises'
import type { CompileCache } from '../harness/compile-cache.ts'
import { memoryMiBOf } from '../harness/process-usage.ts'
import { startProgram } from '../harness/program-process.ts'
import type { Workbench } from '../harness/workbench.ts'
import { measureCell } from './cell.ts'
import { FOLLOWERS, TODAY_MS } from './grid.ts'
import { openSide, type SideName } from './sides.ts'

/**
 * V8 lets the space for young objects grow while code is loaded, up to 16 MiB twice, and a process that has
 * little to do later does not give it back. This keeps it small, on whichever side it is given.
 */
const SMALL_HEAP = ['--max-semi-space-size=1']
const EVENTS_PER_SECOND = 10
const SETTLE_MS = 1_000

const bareNode = new URL('../pollers/bare-node.ts', import.meta.url)

/** What so many processes of Node take that do nothing: no side can take less. */
export async function bareNodeMiB(compileCache: CompileCache, processes: number): Promise<number> {
  await using owner = new AsyncDisposableStack()
  await compileCache.warm(bareNode)
  const all = Array.from({ length: processes }, () =>
    owner.use(
      startProgram<{ open: (nothing: null) => void }>(bareNode, {
        compileCache: compileCache.directory,
      }),
    ),
  )
  await Promise.all(all.map((one) => one.ask('open', null)))
  await sleep(SETTLE_MS)
  return memoryMiBOf(all.map(({ pid }) => pid))
}

/** The memory of a side whose processes all have small heaps, at a moderate rate. */
export async function smallHeapsMiB(
  bench: Workbench,
  compileCache: CompileCache,
  name: SideName,
  processes: number,
): Promise<number> {
  await using owner = new AsyncDisposableStack()
  const followersPerProcess = FOLLOWERS / processes
  const { postgres } = bench
  const task = { name, processes, followersPerProcess, compileCache, postgres }
  const side = await openSide({ ...task, nodeArgs: SMALL_HEAP }, owner)
  const interval = name === 'millrace' ? {} : { intervalMs: TODAY_MS }
  const windowMs = bench.quick ? 1_000 : 3_000
  const measured = { perSecond: EVENTS_PER_SECOND, windowMs, ...interval, followersPerProcess }
  return (await measureCell(side, measured)).memoryMiB
}
