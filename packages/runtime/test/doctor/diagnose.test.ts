import { describe, expect, test } from 'vitest'
import { diagnose } from '../../src/doctor/diagnose.ts'
import type { ServerFacts } from '../../src/doctor/facts.ts'
import type { Check, Severity } from '../../src/index.ts'

const MIB = 1024 * 1024

/** A server with which nothing is wrong. */
const info = {
  used_memory: String(10 * MIB),
  maxmemory: String(100 * MIB),
  total_system_memory: String(1_000 * MIB),
  maxmemory_policy: 'noeviction',
  aof_enabled: '1',
  rdb_last_bgsave_status: 'ok',
  aof_last_write_status: 'ok',
  aof_last_bgrewrite_status: 'ok',
  connected_clients: '10',
  maxclients: '10000',
  role: 'master',
  connected_slaves: '1',
  slave0: 'ip=127.0.0.1,port=7001,state=online,offset=100,lag=0',
}
const config = {
  appendfsync: 'always',
  save: '3600 1',
  timeout: '0',
  'tcp-keepalive': '300',
  'min-replicas-to-write': '1',
  'client-output-buffer-limit': 'normal 0 0 0 slave 268435456 67108864 60',
}
const clusterInfo = {
  cluster_state: 'ok',
  cluster_slots_assigned: '16384',
  cluster_slots_fail: '0',
  cluster_slots_pfail: '0',
}
const sound: ServerFacts = {
  product: 'redis',
  version: '8.0.6',
  info: new Map(Object.entries(info)),
  config: new Map(Object.entries(config)),
  cluster: new Map(Object.entries(clusterInfo)),
  clock: { aheadMs: 3, uncertainMs: 5 },
  durability: undefined,
  refused: [],
}

const onDisk = { aof: true, replicas: 1, timeoutMs: 5_000 } as const

function withInfo(changes: Record<string, string>): ServerFacts {
  return { ...sound, info: new Map(Object.entries({ ...info, ...changes })) }
}

function withConfig(changes: Record<string, string>): ServerFacts {
  return { ...sound, config: new Map(Object.entries({ ...config, ...changes })) }
}

/** The findings that are not fine. */
function bad(facts: ServerFacts): [Check, Severity][] {
  return diagnose(facts)
    .filter(({ severity }) => severity !== 'ok')
    .map(({ check, severity }) => [check, severity])
}

test('a sound server has nothing but good findings, and each bad one has a remedy', () => {
  expect(bad(sound)).toEqual([])
  for (const { remedy, severity } of diagnose(withInfo({ maxmemory: '0', aof_enabled: '0' }))) {
    expect(remedy === undefined).toBe(severity === 'ok')
  }
  expect(bad({ ...sound, durability: onDisk })).toEqual([])
})

describe('what is wrong is found:', () => {
  const cases: readonly [what: string, ServerFacts, [Check, Severity][]][] = [
    ['eviction', withInfo({ maxmemory_policy: 'allkeys-lru' }), [['eviction', 'critical']]],
    [
      'eviction that cannot happen yet',
      withInfo({ maxmemory_policy: 'volatile-ttl', maxmemory: '0' }),
      [
        ['eviction', 'warning'],
        ['memory', 'warning'],
      ],
    ],
    ['little room', withInfo({ used_memory: String(80 * MIB) }), [['memory', 'warning']]],
    ['no room', withInfo({ used_memory: String(95 * MIB) }), [['memory', 'critical']]],
    [
      'a limit above the host',
      withInfo({ total_system_memory: String(100 * MIB) }),
      [['memory', 'warning']],
    ],
    ['the usual appendfsync', withConfig({ appendfsync: 'everysec' }), [['persistence', 'info']]],
    ['no appendfsync', withConfig({ appendfsync: 'no' }), [['persistence', 'warning']]],
    ['snapshots alone', withInfo({ aof_enabled: '0' }), [['persistence', 'warning']]],
    [
      'a failed snapshot',
      withInfo({ rdb_last_bgsave_status: 'err' }),
      [['persistence', 'critical']],
    ],
    ['a full disk', withInfo({ aof_last_write_status: 'err' }), [['persistence', 'critical']]],
    ['many clients', withInfo({ connected_clients: '8500' }), [['clients', 'warning']]],
    ['too many clients', withInfo({ connected_clients: '9900' }), [['clients', 'critical']]],
    ['a replica', withInfo({ role: 'slave' }), [['role', 'critical']]],
    [
      'a primary that confirms alone',
      withConfig({ 'min-replicas-to-write': '0' }),
      [['replicas', 'warning']],
    ],
    [
      'a replica that lags',
      withInfo({ slave0: 'ip=1,port=1,state=online,offset=1,lag=60' }),
      [['replicas', 'warning']],
    ],
    [
      'durability on disk with a server that cannot confirm it',
      { ...sound, version: '7.0.15', durability: onDisk },
      [['durability', 'critical']],
    ],
    [
      'durability on disk without a file',
      { ...withInfo({ aof_enabled: '0' }), durability: onDisk },
      [
        ['durability', 'critical'],
        ['persistence', 'warning'],
      ],
    ],
    [
      'durability that more replicas are to confirm than there are',
      { ...sound, durability: { ...onDisk, aof: false, replicas: 2 } },
      [['durability', 'critical']],
    ],
    [
      'a cluster that is down',
      { ...sound, cluster: new Map(Object.entries({ ...clusterInfo, cluster_state: 'fail' })) },
      [['cluster', 'critical']],
    ],
    [
      'slots of nobody',
      {
        ...sound,
        cluster: new Map(Object.entries({ ...clusterInfo, cluster_slots_assigned: '1' })),
      },
      [['cluster', 'critical']],
    ],
    ['a short timeout', withConfig({ timeout: '10' }), [['timeout', 'warning']]],
    ['no keepalive', withConfig({ 'tcp-keepalive': '0' }), [['keepalive', 'warning']]],
    [
      'a small output buffer',
      withConfig({ 'client-output-buffer-limit': 'normal 1048576 0 0 slave 0 0 0' }),
      [['output-buffer', 'warning']],
    ],
    [
      'a clock that is off',
      { ...sound, clock: { aheadMs: -5_000, uncertainMs: 5 } },
      [['clock', 'warning']],
    ],
    [
      'a clock that is far off',
      { ...sound, clock: { aheadMs: 3_600_000, uncertainMs: 5 } },
      [['clock', 'critical']],
    ],
    [
      'a slow answer that says little',
      { ...sound, clock: { aheadMs: 1_400, uncertainMs: 900 } },
      [],
    ],
    ['missing rights', { ...sound, refused: ['xadd'] }, [['rights', 'critical']]],
    [
      'missing rights that are for comfort',
      { ...sound, refused: ['client|unblock'] },
      [['rights', 'warning']],
    ],
    [
      'a server that hides things',
      { ...sound, info: undefined, config: undefined },
      [['visibility', 'info']],
    ],
  ]
  test.for(cases)('%s', ([, facts, expected]) => {
    expect(bad(facts)).toEqual(expected)
  })

  test('no persistence at all, the worst first', () => {
    const facts: ServerFacts = {
      ...withInfo({ aof_enabled: '0', maxmemory: '0' }),
      config: new Map(Object.entries({ ...config, save: '', timeout: '5' })),
    }
    expect(bad(facts)).toEqual([
      ['persistence', 'critical'],
      ['memory', 'warning'],
      ['timeout', 'warning'],
    ])
  })
})
