import {
  type ConnectOptions,
  type RedisAddress,
  resolveConnectOptions,
} from '../connection/options.ts'
import { type Core, createCore } from '../core.ts'
import { errorCodes, isMillraceError } from '../errors.ts'
import { throwProblems } from '../lifecycle/options.ts'
import {
  type DurabilityOptions,
  durabilityProblems,
  resolveDurability,
} from '../producer/durability/options.ts'
import { diagnose } from './diagnose.ts'
import { examine } from './examine.ts'
import { type Finding, finding } from './finding.ts'

export interface DoctorReport {
  /** Whether nothing critical and no warning was found. */
  readonly healthy: boolean
  /** The worst first. */
  readonly findings: readonly Finding[]
}

export interface DoctorOptions extends ConnectOptions {
  /**
   * What producers are going to ask for: then it is looked at as well whether the server can confirm that, and
   * whether the user may wait for it. @defaultValue none
   */
  readonly durability?: DurabilityOptions
}

/**
 * Looks at a server before it is relied on: whether it keeps what it is given, has room, tells the time, and
 * lets the user do what Millrace does. It writes nothing. A server that cannot be reached or used is a
 * finding, too. In a cluster it looks at one node, and at what that node says about the cluster.
 * @throws MillraceError `OPTIONS_INVALID`, `ABORTED`
 */
export async function doctor(
  address: RedisAddress,
  { durability, ...options }: DoctorOptions = {},
): Promise<DoctorReport> {
  const core = createCore(resolveConnectOptions(address, options))
  try {
    return await examineServer(core, { durability, signal: options.signal })
  } finally {
    core.connections.close()
  }
}

interface Looking {
  readonly durability: DurabilityOptions | undefined
  readonly signal: AbortSignal | undefined
}

/** The same over connections that are there. */
export async function examineServer(
  core: Core,
  { durability, signal }: Looking,
): Promise<DoctorReport> {
  throwProblems('doctor', problemsOf(durability))
  const wanted = durability === undefined ? undefined : resolveDurability(durability)
  const { tag, stream } = core.keysOf(ANY_STREAM)
  try {
    const facts = await core.connections.call(
      'data',
      tag,
      (session) =>
        examine(session, stream, wanted, () => ({
          wallMs: Date.now(),
          monotonicMs: core.clock.monotonicMs(),
        })),
      { signal },
    )
    return reportOf(diagnose(facts))
  } catch (error) {
    if (!isMillraceError(error) || error.code === 'ABORTED') throw error
    return reportOf([finding('access', 'critical', error.message, errorCodes[error.code].remedy)])
  }
}

function problemsOf(durability: unknown): string[] {
  if (durability === undefined) return []
  if (typeof durability !== 'object' || durability === null) return ['durability must be an object']
  return durabilityProblems(durability)
}

function reportOf(findings: readonly Finding[]): DoctorReport {
  const healthy = findings.every(({ severity }) => severity === 'ok' || severity === 'info')
  return { healthy, findings }
}

/** Its keys begin like those of every stream; it is never made. */
const ANY_STREAM = { name: 'doctor', colocate: undefined } as Parameters<Core['keysOf']>[0]
