import { type ProgramProcess, startProgram } from '../harness/program-process.ts'
import type { Sample } from '../harness/samples.ts'
import { trimmedMean } from '../harness/statistics.ts'
import type { Workbench } from '../harness/workbench.ts'
import type { ThroughputProgram } from '../throughput/program.ts'
import type { SliceProgram } from './slice-program.ts'

export type PathName = 'consume' | 'consume_floor' | 'group' | 'publish' | 'publish_floor'

interface Path {
  readonly file: URL
  /** Publishes what is consumed. */
  readonly filledBy?: URL
}

const fillFloor = new URL('../floors/publish-loop.ts', import.meta.url)
const fillMillrace = new URL('../millrace/publish.ts', import.meta.url)
/** Each path stands beside its floor, whichever way they are gone through. */
const paths: Readonly<Record<PathName, Path>> = {
  publish: { file: new URL('programs/publish.ts', import.meta.url) },
  publish_floor: { file: new URL('programs/publish-floor.ts', import.meta.url) },
  consume: { file: new URL('programs/consume.ts', import.meta.url), filledBy: fillMillrace },
  consume_floor: {
    file: new URL('programs/consume-floor.ts', import.meta.url),
    filledBy: fillFloor,
  },
  group: {
    file: new URL('programs/consume-in-group.ts', import.meta.url),
    filledBy: fillMillrace,
  },
}
export const pathNames: readonly PathName[] = [
  'publish',
  'publish_floor',
  'consume',
  'consume_floor',
  'group',
]

export interface Size {
  /** In one slice. */
  readonly published: number
  readonly consumed: number
  /** Slices of each path before the first that counts. */
  readonly warmUp: number
  readonly measured: number
}

/** The slowest slices of a path are what something else did to it, or a collection of much garbage at once. */
const TRIMMED = 0.2

/**
 * One set of fresh processes, all there at once. They take turns with slices of a tenth of a second, so that
 * what the rest of the machine does meets each path and its floor alike.
 */
export async function measureGeneration(
  bench: Workbench,
  names: readonly PathName[],
  size: Size,
  round: number,
): Promise<readonly Sample[]> {
  await using owner = new AsyncDisposableStack()
  const publishedAt = await bench.emptyPlace()
  const consumedAt = bench.place()
  const fillers = names.flatMap((name) => paths[name].filledBy ?? [])
  for (const file of new Set(fillers)) {
    await using filler = startProgram<ThroughputProgram>(file)
    await filler.ask('publish', { place: consumedAt, warmUp: 0, measured: size.consumed })
  }
  const running = await Promise.all(
    names.map(async (name): Promise<Running> => {
      const { file, filledBy } = paths[name]
      const program = owner.use(startProgram<SliceProgram>(file))
      await program.ask('open', filledBy === undefined ? publishedAt : consumedAt)
      const events = filledBy === undefined ? size.published : size.consumed
      return { name, program, events, slices: [] }
    }),
  )
  for (let turn = 0; turn < size.warmUp + size.measured; turn += 1) {
    for (const one of turn % 2 === 0 ? running : running.toReversed()) {
      const slice = await measureSlice(bench, one)
      if (turn >= size.warmUp) one.slices.push(slice)
    }
  }
  return running.map(({ name, slices }) => ({ round, variant: name, figures: figuresOf(slices) }))
}

interface Running {
  readonly name: PathName
  readonly program: ProgramProcess<SliceProgram>
  readonly events: number
  readonly slices: Slice[]
}

/** In microseconds for each event. */
interface Slice {
  readonly elapsedUs: number
  readonly clientUs: number
  readonly redisUs: number
}

async function measureSlice(bench: Workbench, { program, events }: Running): Promise<Slice> {
  const serverBeforeMs = await bench.serverCpuMs()
  const lap = await program.ask('slice', events)
  const serverMs = (await bench.serverCpuMs()) - serverBeforeMs
  const perEventUs = (ms: number): number => (ms / events) * 1_000
  return {
    elapsedUs: perEventUs(lap.elapsedMs),
    clientUs: perEventUs(lap.cpuMs),
    redisUs: perEventUs(serverMs),
  }
}

function figuresOf(slices: readonly Slice[]): Sample['figures'] {
  const of = (figure: keyof Slice): number =>
    trimmedMean(
      slices.map((slice) => slice[figure]),
      TRIMMED,
    )
  return {
    perSecond: 1e6 / of('elapsedUs'),
    clientCpuUs: of('clientUs'),
    redisCpuUs: of('redisUs'),
  }
}
