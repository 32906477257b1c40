import { expect, it } from 'vitest'
import { acquire } from '../../src/consumer/acquire-script.ts'
import { checkpoint } from '../../src/consumer/checkpoint-script.ts'
import type { Session } from '../../src/connection/session.ts'
import { GroupCommands } from '../../src/group/commands.ts'
import { resolveGroupOptions } from '../../src/group/options.ts'
import { newNonce } from '../../src/lease/token.ts'
import { defineStream } from '../../src/stream/define-stream.ts'
import { callAppend } from '../producer/rig.ts'
import { anHourLater } from './ageing.ts'
import { idsFrom, useSweeps } from './sweep-bed.ts'

const bed = useSweeps()

const HOURS = 30 * 24
const PER_HOUR = 20
const stream = defineStream('swept')

// A month of processes that live for some minutes: half of them end as they should, the others are
// killed. Hours pass by making everything that Redis remembers a time of an hour older.

it('a month of short-lived members leaves no members, records or keys behind', async () => {
  await bed.add(idsFrom(1, 100))
  const member = { name: 'pool', leaseMs: 500 }
  const commands = new GroupCommands(
    bed.core,
    stream.name,
    bed.keys,
    resolveGroupOptions(member, () => 'm'),
  )
  const most = { fields: 0, consumers: 0 }
  for (let hour = 0; hour < HOURS; hour++) {
    await Promise.all(
      Array.from({ length: PER_HOUR }, async (_, i) => {
        const joined = await commands.join(newNonce(), undefined, {})
        if (joined === 'REVOKED') throw new Error('nobody has revoked it')
        if (i % 2 === 0) await commands.leave(joined.identity, {})
      }),
    )
    await oneLives(commands)
    await anHourLater(bed.redis, bed.keys.state('pool'))
    most.fields = Math.max(most.fields, await bed.redis.hlen(bed.keys.state('pool')))
    const consumers = (await bed.redis.xinfo('CONSUMERS', bed.keys.stream, 'pool')) as unknown[]
    most.consumers = Math.max(most.consumers, consumers.length)
  }
  expect(most.consumers).toBeLessThanOrEqual(2)
  // Records of the killed are kept for an hour, beside some fields of the group's own.
  expect(most.fields).toBeLessThan(4 * PER_HOUR)
  expect((await bed.redis.keys('*')).toSorted()).toEqual(
    [bed.keys.stream, bed.keys.meta, bed.keys.state('pool')].toSorted(),
  )
}, 120_000)

it('a month of short-lived holders of a consumer, and of producers, leaves nothing behind either', async () => {
  await bed.add(idsFrom(1, 100))
  const session = await bed.core.connections.session('data', bed.keys.tag)
  let token: string | undefined
  for (let round = 0; round < HOURS * PER_HOUR; round++) {
    token = await hold(session, token, round % 2 === 0)
    if (round % PER_HOUR === 0) {
      await callAppend(bed.core, bed.keys, {
        record: `p:${round}`,
        first: 1,
        maxLength: 100,
        data: ['1'],
      })
      await bed.part({ maxLength: 100 })
    }
    if (round % (PER_HOUR * 24) === 0) await aDayLaterForProducers()
  }
  expect(await bed.redis.hlen(bed.keys.state('board'))).toBeLessThan(25)
  expect(await bed.redis.hlen(bed.keys.meta)).toBeLessThan(12)
  expect(await bed.redis.xinfo('GROUPS', bed.keys.stream)).toHaveLength(1)
  // One a day is left of each of seven days, and what has not been looked at yet.
  expect(await bed.redis.hlen(bed.keys.producers)).toBeLessThan(24 * 10)
  expect(await bed.redis.dbsize()).toBe(4)
}, 120_000)

/** Joins, takes what the dead have left until there is nobody, and leaves. */
async function oneLives(commands: GroupCommands): Promise<void> {
  const joined = await commands.join(newNonce(), undefined, {})
  if (joined === 'REVOKED') throw new Error('nobody has revoked it')
  const { identity } = joined
  const answer = await commands.beat(identity, '', () => undefined, {})
  if (typeof answer === 'string') throw new Error(`the group answered ${answer}`)
  const dead = answer.others.filter(({ record }) => record?.standing === 'live')
  await Promise.all(
    dead.map(({ name, record }) => commands.claim(identity, name, record?.text ?? '', 100, {})),
  )
  await commands.leave(identity, {})
}

async function aDayLaterForProducers(): Promise<void> {
  const records = Object.entries(await bed.redis.hgetall(bed.keys.producers))
  const aged = records.flatMap(([field, text]) => [
    field,
    text.replace(
      /^(\w+ \d+) (\d+)/,
      (_, before: string, second: string) => `${before} ${Number(second) - 86_400}`,
    ),
  ])
  if (aged.length > 0) await bed.redis.hset(bed.keys.producers, ...aged)
}

/** Takes the lease from a holder that died or has released it, and ends likewise. */
async function hold(
  session: Session,
  dead: string | undefined,
  dies: boolean,
): Promise<string | undefined> {
  const nonce = newNonce()
  const answer = await acquire(session, bed.keys, {
    name: 'board',
    start: '0-0',
    nonce,
    holder: '',
    leaseMs: 500,
    own: false,
    ...(dead === undefined ? {} : { expected: { token: dead } }),
  })
  if (answer.held) throw new Error('the lease is held')
  const { fence, incarnation, position } = answer.grant
  if (dies) return fence.token
  await checkpoint(session, bed.keys, [
    {
      name: 'board',
      token: fence.token,
      incarnation,
      from: position,
      to: '',
      named: [],
      index: undefined,
      ranges: undefined,
      attempts: undefined,
      release: true,
      toldGap: '',
    },
  ])
  return undefined
}
