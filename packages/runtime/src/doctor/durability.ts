import type { ResolvedDurability } from '../producer/durability/options.ts'
import type { ServerFacts } from './facts.ts'
import { type Finding, finding, ok } from './finding.ts'

/** The commands that producers with such `durability` need beside the others. */
export function durabilityCommands(
  durability: ResolvedDurability | undefined,
  server: Pick<ServerFacts, 'product' | 'version'>,
): readonly string[] {
  if (durability === undefined) return []
  if (!durability.aof) return ['wait']
  // What the server does not have is no matter of rights.
  return hasWaitaof(server) ? ['waitaof'] : []
}

/** Whether the server can confirm what producers with such `durability` wait for. */
export function durabilityFindings(facts: ServerFacts): Finding[] {
  const { durability: wanted, info } = facts
  if (wanted === undefined) return []
  const { aof, replicas } = wanted
  const findings: Finding[] = []
  if (aof && !hasWaitaof(facts)) {
    findings.push(
      finding(
        'durability',
        'critical',
        `durability.aof is asked for, which ${facts.product} ${facts.version} does not know: every publish fails.`,
        'Use Redis 7.2 or newer or Valkey, or durability without aof.',
      ),
    )
  } else if (aof && info !== undefined && info.get('aof_enabled') !== '1') {
    findings.push(
      finding(
        'durability',
        'critical',
        'durability.aof is asked for, and there is no append-only file: every publish fails.',
        'Set appendonly yes.',
      ),
    )
  }
  const connected = Number(info?.get('connected_slaves') ?? 0)
  if (info !== undefined && connected < replicas) {
    findings.push(
      finding(
        'durability',
        'critical',
        `durability asks for ${replicas} replicas, and ${connected} are connected: every publish fails with NOT_DURABLE.`,
        'Connect as many replicas, one more if one may be away, or ask for fewer.',
      ),
    )
  }
  if (findings.length > 0) return findings
  if (info === undefined) return []
  return [ok('durability', 'The server has what the durability that is asked for needs.')]
}

/** Valkey began after Redis 7.2. */
function hasWaitaof({ product, version }: Pick<ServerFacts, 'product' | 'version'>): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return product === 'valkey' || major > 7 || (major === 7 && minor >= 2)
}
