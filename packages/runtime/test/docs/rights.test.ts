import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type RedisServer, startRedis } from '@millrace/testkit'
import { connect, isMillraceError } from '../../src/index.ts'
import { commandsIn, filesIn } from './commands-in-source.ts'
import { page } from './pages.ts'
import { fullRound, orders } from './round.ts'

// The users of docs/guarantees.md, as they stand there.

let server: RedisServer
let admin: Redis

beforeAll(async () => {
  server = await startRedis()
  admin = server.client()
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
})

const everything = rulesOf('acl')
const producer = rulesOf('acl producer')
const reader = rulesOf('acl reader')

describe('the rights on the page', () => {
  test('are those that the sources need, no more and no fewer', () => {
    expect(commandsOf(everything)).toEqual(withClientLibrary(commandsIn(filesIn(''))))
  })

  test('of a producer are those that publishing needs', () => {
    // Whoever publishes sweeps as well; only removing somebody takes more.
    const sweeping = filesIn('retention').filter((file) => !file.includes('remove'))
    const stream = ['stream/incarnation.ts', 'stream/open-stream-script.ts']
    const files = [...filesIn('producer'), ...filesIn('pressure'), ...sweeping, ...stream]
    expect(commandsOf(producer)).toEqual(withClientLibrary(connecting(commandsIn(files))))
  })

  test('of a reader are those that readers need', () => {
    const files = [...filesIn('reader'), ...filesIn('tail'), 'stream/open-stream-script.ts']
    expect(commandsOf(reader)).toEqual(withClientLibrary(connecting(commandsIn(files))))
  })
})

describe('a user with the rights on the page', () => {
  test('can do everything', async () => {
    await admin.flushall()
    const round = await fullRound(await userWith('everything', everything))
    expect(round).toMatchObject({ published: 5, read: 5 })
    expect(await refusals('everything')).toEqual([])
  })

  test('can do everything without CLIENT UNBLOCK', async () => {
    await admin.flushall()
    const rules = everything.filter((rule) => rule !== '+client|unblock')
    const round = await fullRound(await userWith('patient', rules))
    expect(round).toMatchObject({ published: 5, read: 5 })
    expect(new Set(await refusals('patient'))).toEqual(new Set(['client|unblock']))
  })

  test('can publish, and can read', async () => {
    await admin.flushall()
    await using publishing = await connect(await userWith('publishing', producer))
    await using reading = await connect(await userWith('reading', reader))
    const events = reading.reader(orders, { from: 'earliest' })
    await publishing.publish(orders, { order: 'A-1' }, { idempotencyKey: 'A-1' })
    await publishing.publish(orders, [{ order: 'A-2' }], { type: 'placed', timeMs: 1 })
    const read: string[] = []
    for await (const { data } of events) if (read.push(data.order) === 2) break
    expect(read).toEqual(['A-1', 'A-2'])
    expect([...(await refusals('publishing')), ...(await refusals('reading'))]).toEqual([])
  })

  test('is told with PERMISSION_DENIED what is missing', async () => {
    await using reading = await connect(await userWith('reading-only', reader))
    const refused = await reading.publish(orders, { order: 'A-3' }).catch((error: unknown) => error)
    expect(isMillraceError(refused, 'PERMISSION_DENIED')).toBe(true)
  })
})

/** The rules of the block with this fence. */
function rulesOf(fence: string): string[] {
  const { text } = page('docs/guarantees.md')
  const [, rules = ''] = new RegExp(`^\`\`\`text ${fence}\n([^\`]*)\n\`\`\``, 'm').exec(text) ?? []
  return rules.split(/\s+/).filter((rule) => rule !== '')
}

function commandsOf(rules: readonly string[]): string[] {
  return rules.flatMap((rule) => (rule.startsWith('+') ? [rule.slice(1)] : [])).toSorted()
}

/** What every connection sends by itself; HELLO and AUTH need no right. */
function withClientLibrary(commands: readonly string[]): string[] {
  return [...new Set([...commands, 'client|setname'])]
    .filter((command) => command !== 'hello')
    .toSorted()
}

function connecting(commands: readonly string[]): string[] {
  return [...new Set([...commands, ...commandsIn(filesIn('connection'))])]
}

/** Makes the user and answers the URL with which to be it. */
async function userWith(name: string, rules: readonly string[]): Promise<string> {
  await admin.call('acl', 'setuser', name, 'reset', ...rules)
  return server.url.replace('redis://', `redis://${name}:secret@`)
}

/** What the server has refused to the user. */
async function refusals(name: string): Promise<string[]> {
  const client = new Redis(server.url, { protocol: 2 })
  const log = (await client.call('acl', 'log')) as unknown[][]
  client.disconnect()
  return log
    .map((entry) => Object.fromEntries(pairs(entry)) as Record<string, unknown>)
    .filter((entry) => entry['username'] === name)
    .map((entry) => String(entry['object']))
}

function pairs(flat: readonly unknown[]): [string, unknown][] {
  return flat.flatMap((name, i) =>
    i % 2 === 0 ? [[String(name), flat[i + 1]] as [string, unknown]] : [],
  )
}
