import { afterAll, afterEach, beforeAll, describe } from 'vitest'
import { ConformanceBed } from './bed.ts'
import { type Arrangement, matrix, type MatrixEntry } from './servers.ts'
import { startTopology, type Topology } from './topology.ts'

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
  const topologyOf = (entry: MatrixEntry): Promise<Topology> => {
    const known = started.get(entry)
    if (known !== undefined) return known
    const topology =
      entry.reason === undefined
        ? startTopology(entry.arrangement, entry.binary)
        : Promise.reject(new Error(entry.reason))
    // Whoever waits for it meets the error.
    topology.catch(() => undefined)
    started.set(entry, topology)
    return topology
  }

  for (const entry of wanted) {
    const bed = new ConformanceBed(entry.arrangement)
    const { title, reason } = entry
    const why = reason === undefined ? '' : ` (skipped: ${reason})`
    describe.skipIf(reason !== undefined)(`${guarantee}, on ${title}${why}`, () => {
      beforeAll(async () => {
        // Clusters take seconds to form, so the others form while the first is at work.
        for (const other of wanted) if (other.reason === undefined) void topologyOf(other)
        bed.begin(await topologyOf(entry))
      })
      afterEach(() => bed.closeAll())
      cases(bed)
    })
  }

  afterAll(async () => {
    const ends = await Promise.allSettled(
      [...started.values()].map(async (one) => (await one)[Symbol.asyncDispose]()),
    )
    for (const end of ends) if (end.status === 'rejected') throw end.reason
  })
}
