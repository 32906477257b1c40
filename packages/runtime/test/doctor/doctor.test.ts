import { expect, test } from 'vitest'
import { startCluster, startRedis, waitFor } from '@millrace/testkit'
import { neededCommands } from '../../src/doctor/rights.ts'
import { doctor, type DoctorReport, type Finding } from '../../src/index.ts'
import { page } from '../docs/pages.ts'
import { useRedis } from '../open-millrace.ts'

const bed = useRedis()

function found(report: DoctorReport, check: Finding['check']): Finding | undefined {
  return report.findings.find((one) => one.check === check)
}

test('a real server is examined, without a trace', async () => {
  const millrace = await bed.open()
  const keys = await bed.redis.dbsize()
  const report = await millrace.doctor()
  expect(found(report, 'server')?.found).toMatch(/^(redis|valkey) \d+\.\d+/)
  expect(found(report, 'rights')).toMatchObject({ severity: 'ok' })
  expect(found(report, 'clock')).toMatchObject({ severity: 'ok' })
  expect(found(report, 'visibility')).toMatchObject({ severity: 'ok' })
  expect(found(report, 'eviction')).toMatchObject({ severity: 'ok' })
  expect(found(report, 'timeout')).toMatchObject({ severity: 'ok' })
  expect(found(report, 'memory')).toMatchObject({ severity: 'warning' })
  expect(JSON.parse(JSON.stringify(report))).toMatchObject({ healthy: report.healthy })
  expect(await bed.redis.dbsize()).toBe(keys)
})

test('settings that lose events are found on a real server', async () => {
  await using server = await startRedis({
    args: [
      '--maxmemory',
      '20mb',
      '--maxmemory-policy',
      'allkeys-lru',
      '--timeout',
      '5',
      '--save',
      '',
    ],
  })
  const report = await doctor(server.url)
  expect(report.healthy).toBe(false)
  expect(found(report, 'eviction')).toMatchObject({ severity: 'critical' })
  expect(found(report, 'persistence')).toMatchObject({ severity: 'critical' })
  expect(found(report, 'timeout')).toMatchObject({ severity: 'warning' })
})

test('a user with the rights on the page lacks none, and every other lack is named', async () => {
  const { text } = page('docs/guarantees.md')
  const [, rules = ''] = /^```text acl\n([^`]*)\n```/m.exec(text) ?? []
  const all = rules.split(/\s+/).filter((rule) => rule !== '')
  const listed = all.flatMap((rule) => (rule.startsWith('+') ? [rule.slice(1)] : []))
  expect([...neededCommands, 'cluster|slots'].toSorted()).toEqual(listed.toSorted())

  const url = bed.server.url.replace('redis://', 'redis://examined:secret@')
  await bed.redis.call('acl', 'setuser', 'examined', 'reset', ...all)
  const report = await doctor(url)
  expect(found(report, 'rights')).toMatchObject({ severity: 'ok' })
  expect(found(report, 'visibility')).toMatchObject({ severity: 'info' })
  expect(found(report, 'timeout')).toBeUndefined()

  for (const command of ['xadd', 'xreadgroup', 'xgroup|setid', 'client|unblock', 'hgetall']) {
    await bed.redis.call('acl', 'setuser', 'examined', 'reset', ...all, `-${command}`)
    const finding = found(await doctor(url), 'rights')
    expect(finding?.found).toBe(`The user may not send ${command}.`)
    expect(finding?.severity).toBe(command === 'client|unblock' ? 'warning' : 'critical')
  }
  await bed.redis.call('acl', 'setuser', 'examined', 'reset', ...all, 'resetkeys', '~other:*')
  expect(found(await doctor(url), 'rights')).toMatchObject({ severity: 'critical' })
  await bed.redis.call('acl', 'deluser', 'examined')
})

test('what producers with durability need is looked at where it is asked for', async () => {
  const { text } = page('docs/guarantees.md')
  const [, rules = ''] = /^```text acl producer\n([^`]*)\n```/m.exec(text) ?? []
  const publishing = rules.split(/\s+/)
  const url = bed.server.url.replace('redis://', 'redis://waiting:secret@')
  await bed.redis.call('acl', 'setuser', 'waiting', 'reset', ...publishing)
  expect(found(await doctor(url), 'rights')?.found).not.toContain('wait')
  const refused = await doctor(url, { durability: { replicas: 1 } })
  expect(found(refused, 'rights')?.found).toMatch(/ wait\.$/)
  await bed.redis.call('acl', 'setuser', 'waiting', '+wait')
  const allowed = await doctor(url, { durability: { replicas: 1 } })
  expect(found(allowed, 'rights')?.found).not.toContain('wait')

  const millrace = await bed.open()
  expect(found(await millrace.doctor(), 'durability')).toBeUndefined()
  const alone = await millrace.doctor({ durability: { replicas: 1 } })
  expect(found(alone, 'durability')).toMatchObject({ severity: 'critical' })
  await expect(millrace.doctor({ durability: { replicas: -1 } })).rejects.toMatchObject({
    code: 'OPTIONS_INVALID',
  })
  await bed.redis.call('acl', 'deluser', 'waiting')
})

test('a server that cannot be reached or used is a finding', async () => {
  const proxy = await bed.proxy()
  await proxy.refuse()
  const nobody = await doctor(proxy.url, { deadlineMs: 300 })
  expect(nobody).toMatchObject({
    healthy: false,
    findings: [{ check: 'access', severity: 'critical' }],
  })
  const wrong = await doctor(bed.server.url.replace('redis://', 'redis://nobody:wrong@'))
  expect(found(wrong, 'access')?.remedy).toContain('credentials')
  await expect(doctor('not a url')).rejects.toMatchObject({ code: 'OPTIONS_INVALID' })
})

test('a replica is not what to connect to; a primary with one should not confirm alone', async () => {
  await using replica = await startRedis()
  await replica.client().call('replicaof', '127.0.0.1', String(bed.server.port))
  await waitFor(
    async () => /connected_slaves:1/.test(String(await bed.redis.info('replication'))),
    { describe: 'the replica' },
  )
  expect(found(await doctor(replica.url), 'role')).toMatchObject({ severity: 'critical' })
  expect(found(await doctor(bed.server.url), 'replicas')).toMatchObject({ severity: 'warning' })
})

test('a cluster says whether it serves all slots', async () => {
  await using cluster = await startCluster()
  const report = await doctor({ cluster: cluster.nodes.map(({ url }) => url) })
  expect(found(report, 'cluster')).toMatchObject({ severity: 'ok' })
  expect(found(report, 'access')).toBeUndefined()
})
