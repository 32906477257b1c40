import { durabilityFindings } from './durability.ts'
import type { ServerFacts } from './facts.ts'
import { bySeverity, type Finding, finding, ok } from './finding.ts'

/** All findings about a server, the worst first. */
export function diagnose(facts: ServerFacts): Finding[] {
  return bySeverity([
    ok('server', `${facts.product} ${facts.version}`),
    visibility(facts),
    ...rights(facts),
    clock(facts),
    ...memory(facts),
    ...persistence(facts),
    ...durabilityFindings(facts),
    ...clients(facts),
    ...replication(facts),
    ...cluster(facts),
    ...timeouts(facts),
  ])
}

const WARN_SKEW_MS = 1_000
const BAD_SKEW_MS = 60_000

function visibility({ info, config }: ServerFacts): Finding {
  const hidden = [
    ...(info === undefined ? ['INFO'] : []),
    ...(config === undefined ? ['CONFIG GET'] : []),
  ]
  if (hidden.length === 0) return ok('visibility', 'The server tells everything that is looked at.')
  return finding(
    'visibility',
    'info',
    `The user may not send ${hidden.join(' and ')}, so some checks were left out.`,
    'Run the doctor as a user with +info and +config|get, or look at these settings by hand.',
  )
}

function rights({ refused }: ServerFacts): Finding[] {
  if (refused.length === 0) return [ok('rights', 'The user may send every command that is needed.')]
  return [
    finding(
      'rights',
      refused.some((command) => !OPTIONAL.has(command)) ? 'critical' : 'warning',
      `The user may not send ${refused.join(', ')}.`,
      'Grant the rights that docs/guarantees.md lists for what this user does.',
    ),
  ]
}

/** Everything but a part of administration works without these. */
const OPTIONAL: ReadonlySet<string> = new Set([
  'client|setname',
  'client|unblock',
  'info',
  'memory|usage',
  'scan',
  'xgroup|destroy',
])

function clock({ clock: { aheadMs, uncertainMs } }: ServerFacts): Finding {
  const certain = Math.max(Math.abs(aheadMs) - uncertainMs, 0)
  const text = `The server's clock is ${Math.abs(Math.round(aheadMs))} ms ${aheadMs < 0 ? 'behind' : 'ahead of'} this process'.`
  if (certain < WARN_SKEW_MS) return ok('clock', text)
  return finding(
    'clock',
    certain < BAD_SKEW_MS ? 'warning' : 'critical',
    text,
    'Let both hosts keep time (NTP). Leases do not depend on it; retention, times in ids and measured latencies do.',
  )
}

function memory({ info }: ServerFacts): Finding[] {
  if (info === undefined) return []
  const findings: Finding[] = []
  const used = numberIn(info, 'used_memory')
  const most = numberIn(info, 'maxmemory')
  const system = numberIn(info, 'total_system_memory')
  const policy = info.get('maxmemory_policy') ?? ''
  if (policy === 'noeviction') findings.push(ok('eviction', 'Nothing is evicted.'))
  else if (policy !== '') {
    findings.push(
      finding(
        'eviction',
        most > 0 ? 'critical' : 'warning',
        `maxmemory-policy is ${policy}: whole streams, positions and dead letters may be evicted when memory is full.`,
        'Set maxmemory-policy noeviction. When memory is full, publishing then fails with OUT_OF_MEMORY and consumers go on.',
      ),
    )
  }
  if (most === 0) {
    findings.push(
      finding(
        'memory',
        'warning',
        `There is no maxmemory; ${megabytes(used)} are used, and the system kills the server when it has no more.`,
        'Set maxmemory below what the host has, with room for copy-on-write while saving.',
      ),
    )
    return findings
  }
  const share = used / most
  const text = `${megabytes(used)} of ${megabytes(most)} maxmemory are used (${Math.round(share * 100)} %).`
  if (share < 0.75) findings.push(ok('memory', text))
  else {
    findings.push(
      finding(
        'memory',
        share < 0.9 ? 'warning' : 'critical',
        text,
        'Let consumers catch up, shorten retention, keep large payloads in a blob store, or raise maxmemory.',
      ),
    )
  }
  if (system > 0 && most > system * 0.9) {
    findings.push(
      finding(
        'memory',
        'warning',
        `maxmemory ${megabytes(most)} is nearly all that the host has (${megabytes(system)}).`,
        'Leave room for the system, for buffers, and for copy-on-write while saving.',
      ),
    )
  }
  return findings
}

function persistence({ info, config }: ServerFacts): Finding[] {
  if (info === undefined) return []
  const findings: Finding[] = []
  const fsync = config?.get('appendfsync')
  const saves = config?.get('save')
  if (info.get('aof_enabled') === '1') {
    if (fsync === 'always')
      findings.push(ok('persistence', 'Every write is on the disk before it is answered.'))
    else if (fsync === 'no') {
      findings.push(
        finding(
          'persistence',
          'warning',
          'appendfsync is no: a power cut may lose half a minute of confirmed events.',
          'Set appendfsync everysec or always.',
        ),
      )
    } else {
      findings.push(
        finding(
          'persistence',
          'info',
          `The append-only file is on${fsync === undefined ? '' : ` with appendfsync ${fsync}`}: a power cut may lose the last second or two.`,
          'Set appendfsync always where that must not be; docs/durability.md has measurements.',
        ),
      )
    }
  } else if (saves === '') {
    findings.push(
      finding(
        'persistence',
        'critical',
        'There is no persistence at all: a restart loses every stream and every position.',
        'Set appendonly yes.',
      ),
    )
  } else {
    findings.push(
      finding(
        'persistence',
        'warning',
        'There are snapshots at most, and no append-only file: a restart loses everything since the last one.',
        'Set appendonly yes.',
      ),
    )
  }
  for (const [field, what] of [
    ['rdb_last_bgsave_status', 'The last snapshot'],
    ['aof_last_write_status', 'The last write to the append-only file'],
    ['aof_last_bgrewrite_status', 'The last rewriting of the append-only file'],
  ] as const) {
    const status = info.get(field)
    if (status === undefined || status === 'ok') continue
    findings.push(
      finding(
        'persistence',
        'critical',
        `${what} failed.`,
        'Look at the log of the server and at the disk; with stop-writes-on-bgsave-error every publish fails.',
      ),
    )
  }
  return findings
}

function clients({ info }: ServerFacts): Finding[] {
  const most = numberIn(info, 'maxclients')
  if (info === undefined || most === 0) return []
  const connected = numberIn(info, 'connected_clients')
  const text = `${connected} of ${most} clients are connected.`
  if (connected < most * 0.8) return [ok('clients', text)]
  return [
    finding(
      'clients',
      connected < most * 0.95 ? 'warning' : 'critical',
      text,
      'Raise maxclients (and the limit of open files), or put more consumers into one process: they share connections.',
    ),
  ]
}

function replication({ info, config }: ServerFacts): Finding[] {
  if (info === undefined) return []
  const findings: Finding[] = []
  if (info.get('role') === 'slave') {
    findings.push(
      finding(
        'role',
        'critical',
        'This server is a replica: nothing can be written here.',
        'Connect to the primary, or through Sentinel or Cluster, which find it.',
      ),
    )
    return findings
  }
  const replicas = numberIn(info, 'connected_slaves')
  if (replicas === 0) {
    findings.push(ok('replicas', 'There are no replicas.'))
    return findings
  }
  const behind = [...info]
    .filter(([name]) => /^slave\d+$/.test(name))
    .filter(
      ([, text]) => !text.includes('state=online') || Number(/lag=(\d+)/.exec(text)?.[1]) > 10,
    )
  if (behind.length > 0) {
    findings.push(
      finding(
        'replicas',
        'warning',
        `${behind.length} of ${replicas} replicas are not up to date: ${behind.map(([, text]) => text).join('; ')}`,
        'A failover to one of them loses what it lacks; see to its connection and load.',
      ),
    )
  }
  if (config?.get('min-replicas-to-write') === '0') {
    findings.push(
      finding(
        'replicas',
        'warning',
        `There are ${replicas} replicas, and min-replicas-to-write is 0: a primary that is cut off goes on confirming events that are lost when it comes back.`,
        'Set min-replicas-to-write 1 and min-replicas-max-lag 10 or less.',
      ),
    )
  }
  if (findings.length === 0) findings.push(ok('replicas', `${replicas} replicas are up to date.`))
  return findings
}

function cluster({ cluster: fields }: ServerFacts): Finding[] {
  if (fields === undefined) return []
  const state = fields.get('cluster_state') ?? 'unknown'
  const assigned = Number(fields.get('cluster_slots_assigned'))
  const failing =
    Number(fields.get('cluster_slots_fail')) + Number(fields.get('cluster_slots_pfail'))
  if (state === 'ok' && assigned === 16_384 && failing === 0) {
    return [ok('cluster', 'The cluster serves all slots.')]
  }
  return [
    finding(
      'cluster',
      'critical',
      `The cluster's state is ${state}; ${assigned} of 16384 slots are assigned, ${failing} of them failing.`,
      'Assign the slots, or bring the nodes back; streams of other slots work all the same where cluster-require-full-coverage is no.',
    ),
  ]
}

/** Shorter than this, Redis closes connections that are merely quiet. */
const SHORTEST_TIMEOUT_S = 60
/** A reply to the tail has up to 8 MiB. */
const LEAST_BUFFER_BYTES = 32 * 1024 * 1024

function timeouts({ config }: ServerFacts): Finding[] {
  if (config === undefined) return []
  const findings: Finding[] = []
  const timeoutS = Number(config.get('timeout') ?? 0)
  if (timeoutS > 0 && timeoutS < SHORTEST_TIMEOUT_S) {
    findings.push(
      finding(
        'timeout',
        'warning',
        `timeout is ${timeoutS} s: connections that are quiet for so long are closed and opened again.`,
        'Set timeout 0; tcp-keepalive finds clients that are gone.',
      ),
    )
  } else
    findings.push(
      ok('timeout', timeoutS === 0 ? 'Quiet connections stay.' : `timeout is ${timeoutS} s.`),
    )
  const keepaliveS = Number(config.get('tcp-keepalive') ?? 300)
  findings.push(
    keepaliveS > 0
      ? ok('keepalive', `tcp-keepalive is ${keepaliveS} s.`)
      : finding(
          'keepalive',
          'warning',
          'tcp-keepalive is off: connections of hosts that are gone stay for ever, and block reads and count as clients.',
          'Set tcp-keepalive 300 or less.',
        ),
  )
  const [, hard = '0'] = /normal (\d+)/.exec(config.get('client-output-buffer-limit') ?? '') ?? []
  if (Number(hard) > 0 && Number(hard) < LEAST_BUFFER_BYTES) {
    findings.push(
      finding(
        'output-buffer',
        'warning',
        `client-output-buffer-limit for normal clients is ${hard} bytes: a large page of events ends the connection.`,
        `Set it to 0, or to ${LEAST_BUFFER_BYTES} or more.`,
      ),
    )
  }
  return findings
}

function numberIn(fields: ReadonlyMap<string, string> | undefined, name: string): number {
  const value = Number(fields?.get(name))
  return Number.isFinite(value) ? value : 0
}

function megabytes(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`
}
