import { describe, expect, it } from 'vitest'
import { resolveConnectOptions } from '../../src/connection/options.ts'
import { type Core, createCore } from '../../src/core.ts'
import {
  returnRedrive,
  settleRedrives,
  storeRedriveAttempts,
} from '../../src/dead-letters/consumer-scripts.ts'
import { RedriveCommands } from '../../src/dead-letters/group-commands.ts'
import { useRedis } from '../open-millrace.ts'

const bed = useRedis()

const letter = { reason: 'exhausted', attempts: 1, error: 'broken', cap: 10 } as const

function core(): Core {
  const made = createCore(resolveConnectOptions(bed.server.url, {}))
  bed.onClose(() => {
    made.connections.close()
  })
  return made
}

async function waiting(stream: { readonly name: string }): Promise<string> {
  const key = `${bed.key(stream)}:redrive:pool`
  return String(
    await bed.redis.xadd(key, '*', 'data', '{"n":1}', 'dead:id', '5-1', 'dead:attempts', '5'),
  )
}

describe('The script of an old holder', () => {
  it('neither settles, nor counts, nor moves back a redriven event of a consumer', async () => {
    const stream = bed.stream()
    const made = core()
    const { connections } = made
    const keys = made.keysOf(stream)
    const id = await waiting(stream)
    await bed.redis.hset(keys.state('pool'), 'kind', 'consumer', 'token', '2-new')
    const old = { name: 'pool', token: '1-old' }
    const session = await connections.session('data', keys.tag)
    expect(await settleRedrives(session, keys, old, [id])).toBe(false)
    expect(await storeRedriveAttempts(session, keys, old, id, 3)).toBe(false)
    expect(await returnRedrive(session, keys, old, { id, ...letter })).toBe('lost')
    expect(await bed.redis.xlen(keys.redrive('pool'))).toBe(1)
    expect(await bed.redis.exists(keys.dead('pool'))).toBe(0)
    expect(await bed.state(stream, 'pool')).toEqual({ kind: 'consumer', token: '2-new' })
  })

  it('moves one back once however often it is sent, and leaves no attempts behind', async () => {
    const stream = bed.stream()
    const made = core()
    const { connections } = made
    const keys = made.keysOf(stream)
    const id = await waiting(stream)
    const holder = { name: 'pool', token: '1-own' }
    await bed.redis.hset(keys.state('pool'), 'kind', 'consumer', 'token', '1-own')
    const session = await connections.session('data', keys.tag)
    expect(await storeRedriveAttempts(session, keys, holder, id, 1)).toBe(true)
    expect((await bed.state(stream, 'pool'))[`redrive:${id}`]).toBe('1')
    expect(await returnRedrive(session, keys, holder, { id, ...letter })).toBe('ok')
    expect(await returnRedrive(session, keys, holder, { id, ...letter })).toBe('gone')
    expect(await storeRedriveAttempts(session, keys, holder, id, 2)).toBe(true)
    expect(await bed.redis.xlen(keys.dead('pool'))).toBe(1)
    expect(await bed.redis.xlen(keys.redrive('pool'))).toBe(0)
    expect(await bed.state(stream, 'pool')).toEqual({ kind: 'consumer', token: '1-own' })
  })

  it('neither takes, nor settles, nor moves back a redriven event of a group', async () => {
    const stream = bed.stream()
    const made = core()
    const keys = made.keysOf(stream)
    const id = await waiting(stream)
    const facts = ['kind', 'group', 'incarnation', 'i', 'generation', '1']
    await bed.redis.hset(keys.state('pool'), ...facts, 'member:a:1', '1-own|0|4000|live|')
    const commands = new RedriveCommands(made, keys, { name: 'pool', maxDeadLetters: 10 })
    const own = { name: 'a:1', token: '1-own', incarnation: 'i', stamp: 'i/1' }
    const settlement = { acks: [id], attempts: [], releases: [] }
    const others = [
      { refusal: 'REVOKED', identity: { ...own, token: '1-old' } },
      { refusal: 'GONE', identity: { ...own, name: 'b:1' } },
      { refusal: 'RECREATED', identity: { ...own, stamp: 'i/0' } },
    ]
    for (const { refusal, identity } of others) {
      expect(await commands.take(identity, 1, {})).toBe(refusal)
      expect(await commands.settle(identity, settlement, {})).toBe(refusal)
      expect(await commands.deadLetter(identity, { id, ...letter }, {})).toBe(refusal)
    }
    expect(await bed.redis.xlen(keys.redrive('pool'))).toBe(1)
    expect(await commands.take(own, 1, {})).toMatchObject({
      left: 0,
      entries: [{ id, attempt: 1, eventId: '5-1', suspect: false }],
    })
    expect(await commands.settle(own, settlement, {})).toEqual({ gone: [], foreign: [] })
    expect(await bed.redis.xlen(keys.redrive('pool'))).toBe(0)
  })

  it('takes what a dead member had, but not what a live one or its successor has', async () => {
    const stream = bed.stream()
    const made = core()
    const keys = made.keysOf(stream)
    const redrive = keys.redrive('pool')
    const ids = [
      await waiting(stream),
      await waiting(stream),
      await waiting(stream),
      await waiting(stream),
    ]
    await bed.redis.xgroup('CREATE', redrive, 'pool', '0')
    for (const name of ['live:1', 'before:1', 'dead:1', 'gone:1']) {
      await bed.redis.xreadgroup('GROUP', 'pool', name, 'COUNT', 1, 'STREAMS', redrive, '>')
    }
    await bed.redis.hset(keys.state('pool'), {
      kind: 'group',
      incarnation: 'i',
      generation: '1',
      'member:a:1': '1-own|0|4000|live|',
      'member:live:1': '2-x|0|4000|live|',
      'member:before:1': '3-x|0|4000|revoked|after:1',
      'member:after:1': '4-x|0|4000|live|',
      'member:dead:1': '5-x|0|4000|revoked|a:1',
    })
    const commands = new RedriveCommands(made, keys, { name: 'pool', maxDeadLetters: 10 })
    const own = { name: 'a:1', token: '1-own', incarnation: 'i', stamp: 'i/1' }
    const taken = await commands.take(own, 5, {})
    expect(taken).toMatchObject({
      entries: [
        { id: ids[2], suspect: true },
        { id: ids[3], suspect: false },
      ],
    })
    const consumers = (await bed.redis.xinfo('CONSUMERS', redrive, 'pool')) as unknown[][]
    expect(
      consumers.map(([, name]) => String(name)).toSorted((a, b) => a.localeCompare(b)),
    ).toEqual(['a:1', 'before:1', 'live:1'])
  })
})
