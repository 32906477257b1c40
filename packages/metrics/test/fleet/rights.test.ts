import { readFileSync } from 'node:fs'
import { type RedisServer, startRedis } from '@millrace/testkit'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { FleetExporter } from '../../src/fleet/fleet-exporter.ts'
import { fillFleet } from './fill-fleet.ts'

const page = readFileSync(
  new URL('../../../../docs/metrics-exporter.md', import.meta.url).pathname,
  'utf8',
)
/** The user of the page, as it stands there. */
const RULES = (/```text acl exporter\n(.*)\n```/.exec(page)?.[1] ?? '').split(' ')

describe('A user with the rights on the page', () => {
  let server: RedisServer

  beforeAll(async () => {
    server = await startRedis()
    const redis = server.client()
    await fillFleet(redis, { streams: 3, groups: 5, events: 30 })
    await redis.xadd('mr:{stream-0}stream-0:redrive:reader-1', '*', 'data', '{}')
    // The last entry of one was deleted, so it has to be looked for.
    const [[last] = ['']] = await redis.xrevrange('mr:{stream-1}stream-1', '+', '-', 'COUNT', 1)
    await redis.xdel('mr:{stream-1}stream-1', last)
  })
  afterAll(() => server[Symbol.asyncDispose]())

  /** Reads everything as a user of these rights; answers what was refused, and what was shown. */
  const readAs = async (
    rules: readonly string[],
  ): Promise<{ refused: readonly string[]; permissionErrors: number; shown: number }> => {
    const redis = server.client()
    await redis.call('ACL', 'SETUSER', 'exporter', 'reset', ...rules)
    await redis.call('ACL', 'LOG', 'RESET')
    await redis.script('FLUSH')
    const redisUrl = server.url.replace('//', '//exporter:secret@')
    await using exporter = new FleetExporter({ redis: redisUrl })
    await exporter.snapshot()
    const { streams, errors } = await exporter.snapshot()
    const log = (await redis.call('ACL', 'LOG')) as string[][]
    return {
      refused: log.map((entry) => entry[entry.indexOf('object') + 1] ?? ''),
      permissionErrors: errors['permission'] ?? 0,
      shown: streams.flatMap(({ groups }) => groups).filter(({ lag }) => lag.known).length,
    }
  }

  it('can read everything', async () => {
    expect(RULES.length).toBeGreaterThan(10)
    expect(await readAs(RULES)).toEqual({ refused: [], permissionErrors: 0, shown: 15 })
  })

  it('can read everything of one prefix', async () => {
    const rules = RULES.map((rule) => (rule === '%R~*' ? '%R~mr:*' : rule))
    expect(await readAs(rules)).toEqual({ refused: [], permissionErrors: 0, shown: 15 })
  })

  it('shows nothing and says why when the password is wrong', async () => {
    await readAs(RULES)
    await using exporter = new FleetExporter({
      redis: server.url.replace('//', '//exporter:wrong@'),
    })
    const { nodes, errors } = await exporter.snapshot()
    expect(nodes[0]?.isUp).toBe(false)
    expect(errors['permission']).toBeGreaterThan(0)
  })

  it('can write nothing', async () => {
    const writing = new Set(
      ((await server.client().call('ACL', 'CAT', 'write')) as string[]).map((command) =>
        command.toLowerCase(),
      ),
    )
    const allowed = RULES.filter((rule) => rule.startsWith('+')).map((rule) => rule.slice(1))
    expect(allowed.filter((command) => writing.has(command))).toEqual([])
    expect(RULES.filter((rule) => rule.includes('~'))).toEqual(['%R~*'])
  })

  const inCluster = new Set(['+cluster|slots'])
  it.each(RULES.filter((rule) => rule.startsWith('+') && !inCluster.has(rule)))(
    'needs %s',
    async (right) => {
      const { refused } = await readAs(RULES.filter((rule) => rule !== right))
      // A name of the connection is only nice to have, and set without being asked about.
      expect(refused.some((command) => right === `+${command}` || command === right.slice(1))).toBe(
        true,
      )
    },
  )
})
