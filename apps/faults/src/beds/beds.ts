import type { ServerBinary } from '@millrace/testkit'
import type { Topology } from './bed.ts'
import { ClusterBed } from './cluster.ts'
import { SentinelBed } from './sentinel.ts'
import { StandaloneBed } from './standalone.ts'

export type AnyBed = BedOf[Topology]

interface BedOf {
  readonly cluster: ClusterBed
  readonly sentinel: SentinelBed
  readonly standalone: StandaloneBed
}

const start: { readonly [T in Topology]: (binary?: ServerBinary) => Promise<BedOf[T]> } = {
  cluster: (binary) => ClusterBed.start(binary),
  sentinel: (binary) => SentinelBed.start(binary),
  standalone: (binary) => StandaloneBed.start(binary),
}

/** Starts servers when they are first wanted, and keeps them for the faults that follow. */
export class Beds implements AsyncDisposable {
  readonly #made: { [T in Topology]?: BedOf[T] } = {}
  readonly #binary: ServerBinary | undefined

  /** @param binary the server program (default: the one on the PATH) */
  constructor(binary?: ServerBinary) {
    this.#binary = binary
  }

  async get<T extends Topology>(topology: T): Promise<BedOf[T]> {
    const known: BedOf[T] | undefined = this.#made[topology]
    if (known !== undefined) {
      await known.mend()
      return known
    }
    const bed = await start[topology](this.#binary)
    Object.assign(this.#made, { [topology]: bed })
    return bed
  }

  /** Ends servers that a fault has left in a state that they cannot be mended from. */
  async discard(topology: Topology): Promise<void> {
    const bed = this.#made[topology]
    if (bed === undefined) return
    delete this.#made[topology]
    await bed[Symbol.asyncDispose]()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const topology of Object.keys(start)) await this.discard(topology as Topology)
  }
}
