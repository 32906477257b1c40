import type { ClusterBed } from '../beds/cluster.ts'
import type { SentinelBed } from '../beds/sentinel.ts'
import type { StandaloneBed } from '../beds/standalone.ts'
import type { Cast } from '../cast/cast.ts'
import type { ConsumerName, GroupName, ProcessName } from '../cast/parts.ts'

/** Something that goes wrong under load. */
export interface FaultPlan<S extends Stage = Stage> {
  readonly name: string
  /** What happens, as a line of the list. */
  readonly about: string
  /** Belongs to the short selection. */
  readonly short?: boolean
  /**
   * No process can see that another one is gone, as if each ran on a host of its own; `false` where the
   * fault is about processes of one host. Without it, either will do.
   */
  readonly elsewhere?: boolean
  /** The producer has a spool; a fault of which nothing went there has failed. */
  readonly spools?: boolean
  /** It takes accepted events out of the stream; those are told apart. */
  readonly removes?: boolean
  /**
   * Redis itself may lose acknowledged events, which are told apart: they are `expected` with ordinary
   * settings, and must be `refused` by the settings that the documentation calls safe.
   */
  readonly forgets?: 'expected' | 'refused'
  /** How soon things should be well, beyond the ten seconds that hold for all. */
  readonly bound?: Bound
  /**
   * Does the harm, for a bounded time, and undoes it. The fault ends when this resolves. What has to be
   * undone only after the recovery was measured goes to `stage.afterwards`.
   */
  inject(stage: S): Promise<void>
}

export interface Bound {
  /** Until new events flow, or until everything accepted before has reached everyone. */
  readonly until: 'flow' | 'settled'
  readonly ms: number
}

export type Fault =
  | ({ readonly topology: 'cluster' } & FaultPlan<ClusterStage>)
  | ({ readonly topology: 'sentinel' } & FaultPlan<SentinelStage>)
  | ({ readonly topology: 'standalone' } & FaultPlan<StandaloneStage>)

/** What a fault can lay its hands on. */
export interface Stage {
  readonly cast: Cast
  readonly keys: StageKeys
  /** Undone after the recovery was measured. */
  readonly afterwards: AsyncDisposableStack
  readonly signal: AbortSignal
  /** The process that handled a reader's events last; for a consumer, the holder of its lease. */
  readonly holder: (consumer: ConsumerName) => ProcessName
  readonly member: (group: GroupName) => ProcessName
  readonly pause: (ms: number) => Promise<void>
}

export interface StandaloneStage extends Stage {
  readonly bed: StandaloneBed
}

export interface SentinelStage extends Stage {
  readonly bed: SentinelBed
}

export interface ClusterStage extends Stage {
  readonly bed: ClusterBed
}

/** The keys of the scene, as `docs/wire-format.md` names them. */
export interface StageKeys {
  readonly stream: string
  readonly meta: string
  readonly producers: string
  state(reader: string): string
  dead(reader: string): string
}

/** The lease of all consumers and members, in milliseconds: the default. */
export const LEASE_MS = 4_000
/** Within this the dead elsewhere must be replaced. */
export const TAKEOVER_MS: number = 1.4 * LEASE_MS
/** Longer than a lease and a takeover: whoever is away for so long has been replaced. */
export const REPLACED_MS: number = 1.6 * LEASE_MS

/** The short form for faults that work on any one server. */
export function standalone(plan: FaultPlan<StandaloneStage>): Fault {
  return { topology: 'standalone', ...plan }
}

export function sentinel(plan: FaultPlan<SentinelStage>): Fault {
  return { topology: 'sentinel', ...plan }
}

export function cluster(plan: FaultPlan<ClusterStage>): Fault {
  return { topology: 'cluster', ...plan }
}
