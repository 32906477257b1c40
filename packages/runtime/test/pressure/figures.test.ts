import { describe, expect, it } from 'vitest'
import { resolveConnectOptions } from '../../src/connection/options.ts'
import { createCore } from '../../src/core.ts'
import {
  askFigures,
  type FiguresAnswer,
  type FiguresRequest,
  parseFigures,
} from '../../src/pressure/figures-script.ts'
import { idsFrom, INCARNATION, useSweeps } from '../retention/sweep-bed.ts'

const bed = useSweeps()
const WEEK_MS = 7 * 86_400_000

async function ask(some: Partial<FiguresRequest> = {}): Promise<FiguresAnswer> {
  const session = await bed.core.connections.session('data', bed.keys.tag)
  return await askFigures(session, { keys: bed.keys, abandonedAfterMs: WEEK_MS, of: [], ...some })
}

describe('the figures of a stream', () => {
  it('are all nothing for one that is not there, or that nobody reads', async () => {
    expect(await ask()).toMatchObject({ figures: { length: 0, slowest: undefined, lagEvents: 0 } })
    await bed.add(idsFrom(1, 10))
    expect(await ask()).toEqual({
      figures: {
        length: 10,
        slowest: undefined,
        lagEvents: 0,
        isLagKnown: true,
        lagMs: 0,
        memory: undefined,
      },
      processed: 10,
    })
  })

  it('are those of the slowest consumer or group, by what it has not processed', async () => {
    await bed.add(idsFrom(1, 1_000))
    await bed.consumer('fast', '990-0', { index: '990' })
    await bed.consumer('slow', '400-0', { index: '400' })
    await bed.group('pool', '0-0')
    await bed.read('pool', 500)
    const nowMs = await bed.nowMs()
    // 500 that nobody has and 500 that a member has.
    const { figures, processed } = await ask()
    expect(figures).toMatchObject({ slowest: 'pool', lagEvents: 1_000, isLagKnown: true })
    expect(processed).toBe(0)
    expect(figures.lagMs).toBeGreaterThan(nowMs - 402)
    await bed.redis.xack(bed.keys.stream, 'pool', ...idsFrom(1, 500))
    expect((await ask()).figures).toMatchObject({ slowest: 'slow', lagEvents: 600 })
    expect((await ask()).processed).toBe(400)
    await bed.redis.hset(bed.keys.state('slow'), { position: '1000-0', index: '1000' })
    await bed.redis.xreadgroup('GROUP', 'pool', 'm', 'STREAMS', bed.keys.stream, '>')
    expect((await ask()).figures).toMatchObject({ slowest: 'pool', lagEvents: 500 })
    await bed.redis.xack(bed.keys.stream, 'pool', ...idsFrom(501, 1_000))
    expect((await ask()).figures).toMatchObject({ slowest: 'fast', lagEvents: 10 })
  })

  it('tell the age of the oldest event by the clock of the server', async () => {
    const nowMs = await bed.nowMs()
    await bed.add([`${nowMs - 60_000}-0`, `${nowMs - 50_000}-0`, `${nowMs - 10}-0`])
    await bed.consumer('board', `${nowMs - 60_000}-0`, { index: '1' })
    const { lagMs } = (await ask()).figures
    expect(lagMs).toBeGreaterThanOrEqual(50_000)
    expect(lagMs).toBeLessThan(55_000)
    await bed.redis.hset(bed.keys.state('board'), { position: '0-0', index: '0' })
    expect((await ask()).figures.lagMs).toBeGreaterThanOrEqual(60_000)
  })

  it('say when the number of events is an estimate', async () => {
    await bed.add(idsFrom(1, 1_000))
    await bed.consumer('board', '500-0')
    expect((await ask()).figures).toMatchObject({ lagEvents: 501, isLagKnown: false })
    await bed.consumer('board', '500-0', { index: '500' })
    expect((await ask()).figures).toMatchObject({ lagEvents: 500, isLagKnown: true })
    await bed.redis.xdel(bed.keys.stream, '700-0')
    expect((await ask()).figures.isLagKnown).toBe(false)
    // Some servers count past what a group has lost, others do not.
    await bed.consumer('board', '1000-0', { index: '1000' })
    await bed.group('pool', '0-0')
    await bed.read('pool', 900)
    await bed.redis.xack(bed.keys.stream, 'pool', ...idsFrom(1, 901))
    await bed.redis.hset(bed.keys.state('pool'), 'expired', 3)
    const { lagEvents, isLagKnown } = (await ask()).figures
    expect([lagEvents > 80 && lagEvents < 120, isLagKnown]).toEqual([true, false])
    // Of a group of others the sweeps have noted it.
    await bed.redis.xgroup('CREATE', bed.keys.stream, 'theirs', '800-0', 'ENTRIESREAD', 100)
    const theirs = async (): Promise<unknown> => (await ask({ of: ['theirs'] })).figures
    expect(await theirs()).toMatchObject({ lagEvents: 900, isLagKnown: true })
    await bed.redis.hset(bed.keys.meta, 'foreign:theirs', '700|800-0|0|1')
    expect(await theirs()).toMatchObject({ lagEvents: 200, isLagKnown: false })
  })

  it('count everything for a position of another incarnation, and nothing for one ahead', async () => {
    await bed.add(idsFrom(1, 100))
    await bed.consumer('board', '90-0', { index: '90', incarnation: 'another' })
    expect((await ask()).figures.lagEvents).toBe(100)
    await bed.consumer('board', '900-0', { index: '900', incarnation: INCARNATION })
    expect((await ask()).figures).toMatchObject({ lagEvents: 0, lagMs: 0 })
  })

  it('count what was trimmed away for nobody', async () => {
    await bed.add(idsFrom(1, 100))
    await bed.consumer('board', '10-0', { index: '10' })
    await bed.redis.xtrim(bed.keys.stream, 'MINID', '51-0')
    expect((await ask()).figures).toMatchObject({ length: 50, lagEvents: 50, isLagKnown: true })
  })

  it('leave out the abandoned and the groups of others, unless they are named', async () => {
    await bed.add(idsFrom(1, 100))
    const longAgo = String((await bed.nowMs()) - WEEK_MS - 1_000)
    await bed.consumer('board', '90-0', { index: '90', active: longAgo })
    await bed.redis.xgroup('CREATE', bed.keys.stream, 'theirs', '0-0')
    expect((await ask()).figures).toMatchObject({ slowest: undefined, lagEvents: 0 })
    expect((await ask({ of: ['board'] })).figures).toMatchObject({
      slowest: 'board',
      lagEvents: 10,
    })
    expect((await ask({ of: ['board', 'theirs', 'nobody'] })).figures).toMatchObject({
      slowest: 'theirs',
      lagEvents: 100,
    })
    expect((await ask({ abandonedAfterMs: Number.POSITIVE_INFINITY })).figures.slowest).toBe(
      'board',
    )
  })

  it('count a consumer whose image somebody has destroyed', async () => {
    await bed.add(idsFrom(1, 100))
    await bed.consumer('board', '40-0', { index: '40' })
    await bed.redis.xgroup('DESTROY', bed.keys.stream, 'board')
    expect((await ask()).figures).toMatchObject({ slowest: 'board', lagEvents: 60 })
  })

  it('tell the memory, also when it has run out, and do without the right to ask for it', async () => {
    await bed.add(idsFrom(1, 100))
    await bed.redis.config('SET', 'maxmemory', '1')
    const { memory } = (await ask()).figures
    expect(memory?.maxBytes).toBe(1)
    expect(memory?.usedBytes).toBeGreaterThan(100_000)
    await bed.redis.config('SET', 'maxmemory', '1gb')
    expect((await ask()).figures.memory?.maxBytes).toBe(2 ** 30)
    const { host, port } = bed.redis.options
    await bed.redis.call('acl', 'setuser', 'blind', 'on', '>secret', '~*', '+@all', '-info')
    const core = createCore(resolveConnectOptions(`redis://blind:secret@${host}:${port}`, {}))
    const session = await core.connections.session('data', bed.keys.tag)
    const request = { keys: bed.keys, abandonedAfterMs: WEEK_MS, of: [] }
    expect((await askFigures(session, request)).figures).toMatchObject({
      length: 100,
      memory: undefined,
    })
    core.connections.close()
    await bed.redis.config('SET', 'maxmemory', '0')
    expect((await ask()).figures.memory).toBeUndefined()
  })

  it('are read with names of any kind', () => {
    expect(parseFigures('5 7 2 0 30 10 20 a group of others').figures).toEqual({
      length: 5,
      slowest: 'a group of others',
      lagEvents: 2,
      isLagKnown: false,
      lagMs: 30,
      memory: { usedBytes: 10, maxBytes: 20 },
    })
    expect(parseFigures('0 0 0 1 0 -1 -1 ').figures).toMatchObject({
      slowest: undefined,
      memory: undefined,
    })
  })
})
