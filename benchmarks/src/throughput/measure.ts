import { startProgram } from '../harness/program-process.ts'
import type { Figures } from '../harness/samples.ts'
import type { Workbench } from '../harness/workbench.ts'
import type { ThroughputProgram } from './program.ts'

/** Events before the clock starts, and events that are measured. */
export interface Size {
  readonly warmUp: number
  readonly measured: number
}

export interface Measurable {
  readonly file: URL
  /** Publishes what the variant is to consume; without it, the variant publishes. */
  readonly filledBy?: URL
  readonly size: Size
}

/** How fast a program publishes, or catches up with what was published, on an empty server. */
export async function measure(bench: Workbench, contender: Measurable): Promise<Figures> {
  const { file, filledBy, size } = contender
  const task = { place: await bench.emptyPlace(), ...size }
  if (filledBy !== undefined) {
    await using filler = startProgram<ThroughputProgram>(filledBy)
    await filler.ask('publish', task)
  }
  await using program = startProgram<ThroughputProgram>(file)
  const serverBeforeMs = await bench.serverCpuMs()
  const lap = await program.ask(filledBy === undefined ? 'publish' : 'consume', task)
  const serverMs = (await bench.serverCpuMs()) - serverBeforeMs
  return {
    perSecond: (size.measured / lap.elapsedMs) * 1_000,
    clientCpuUs: (lap.cpuMs / size.measured) * 1_000,
    // The server's clock cannot be started by the client's warm-up, so this is over all events.
    redisCpuUs: (serverMs / (size.warmUp + size.measured)) * 1_000,
  }
}
