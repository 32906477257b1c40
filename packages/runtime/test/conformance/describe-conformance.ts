import { afterAll, afterEach, beforeAll, describe } from 'vitest'
import { ConformanceBed } from './bed.ts'
import { type Arrangement, matrix, type MatrixEntry } from './servers.ts'
import { startTopology, type Topology } from './topology.ts'

const STARTED_AHEAD = 2

export interface ConformanceOptions {
  /** The arrangements that the guarantee is about. @defaultValue all */
  readonly on?: readonly Arrangement[]
}

/**
 * Writes the cases of one guarantee down once, and runs them on every entry of the matrix. The servers
 * of an entry are started once for the file; every case has a prefix of its own, and leaves no
 * connection behind.
 */
export function describeConformance(
  guarantee: string,
  cases: (bed: ConformanceBed) => void,
  options: ConformanceOptions = {},
): void {
  const wanted = matrix.filter(({ arrangement }) => options.on?.includes(arrangement) ?? true)
  const started = new Map<MatrixEntry, Promise<Topology>>()
  const start = (entry: MatrixEntry | undefined): void => {
    if (entry?.binary === undefined || started.has(entry)) return
    const topology = startTopology(entry.arrangement, entry.binary)
    // Whoever waits for it meets the error.
    topology.catch(() => undefined)
    started.set(entry, topology)
  }

  for (const [index, entry] of wanted.entries()) {
    const bed = new ConformanceBed(entry.arrangement)
    const { title, reason } = entry
    const why = reason === undefined ? '' : ` (skipped: ${reason})`
    describe.skipIf(reason !== undefined)(`${guarantee}, on ${title}${why}`, () => {
      beforeAll(async () => {
        // Clusters take seconds to form, so the next ones form while this one is at work.
        for (const soon of wanted.slice(index, index + 1 + STARTED_AHEAD)) start(soon)
        bed.begin(await started.get(entry))
      })
      afterEach(() => bed.closeAll())
      afterAll(() => end(entry))
      cases(bed)
    })
  }

  const end = async (entry: MatrixEntry): Promise<void> => {
    const topology = started.get(entry)
    started.delete(entry)
    await (await topology)?.[Symbol.asyncDispose]()
  }
  // Those whose turn did not come.
  afterAll(async () => {
    for (const entry of started.keys()) await end(entry)
  })
}
