import { afterAll, beforeAll, expect, test } from 'vitest'
import { type RedisServer, startRedis } from '@millrace/testkit'
import { page } from './pages.ts'
import { fullRound } from './round.ts'

// Whatever a full round leaves in Redis has to stand in docs/wire-format.md.

let server: RedisServer
const { text } = page('docs/wire-format.md')

beforeAll(async () => {
  server = await startRedis()
  await fullRound(server.url)
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
})

test('there are no keys but those on the page', async () => {
  const keys = await server.client().keys('*')
  expect(keys.toSorted().map((key) => key.replace(/idempotency:\d$/, 'idempotency:<day>'))).toEqual(
    [
      'mr:{orders}orders',
      'mr:{orders}orders:dead:board',
      'mr:{orders}orders:dead:workers',
      'mr:{orders}orders:idempotency:<day>',
      'mr:{orders}orders:meta',
      'mr:{orders}orders:producers',
      'mr:{orders}orders:state:board',
      'mr:{orders}orders:state:workers',
    ],
  )
})

test('every field of a hash is on the page', async () => {
  const fieldsOf = async (key: string): Promise<string[]> =>
    (await server.client().hkeys(`mr:{orders}orders:${key}`)).map((field) =>
      field
        .replace(/^member:.*/, 'member:<consumer name>')
        .replace(/^(name|foreign):.*/, '$1:<name>'),
    )
  expect(fieldsIn('`:meta`')).toEqual(expect.arrayContaining(await fieldsOf('meta')))
  expect(fieldsIn('`:state:<name>` of a Consumer').toSorted()).toEqual(
    (await fieldsOf('state:board')).toSorted(),
  )
  expect(fieldsIn('`:state:<name>` of a ConsumerGroup')).toEqual(
    expect.arrayContaining(await fieldsOf('state:workers')),
  )
})

test('every field of events and dead letters is on the page', async () => {
  const known = new Set([...fieldsIn('Events'), ...fieldsIn('Dead letters')])
  for (const stream of ['', ':dead:board', ':dead:workers']) {
    const entries = await server.client().xrange(`mr:{orders}orders${stream}`, '-', '+')
    expect(entries.length).toBeGreaterThan(0)
    for (const [, fields] of entries) {
      const names = fields
        .filter((_, i) => i % 2 === 0)
        .map((name) => name.replace(/^h:.*/, 'h:<name>'))
      expect([...known]).toEqual(expect.arrayContaining(names))
    }
  }
})

test('the records of producers look like the example', async () => {
  const [record = ''] = await server.client().hvals('mr:{orders}orders:producers')
  expect(record).toMatch(/^(open|closed) \d+ \d+\n(\d+ \d+ (\d+-\d+|-)( \d+:\d+-\d+)*\n)*$/)
})

/** The first column of the table below a heading. */
function fieldsIn(heading: string): string[] {
  const section = text.split(/^## /m).find((part) => part.startsWith(`${heading}\n`)) ?? ''
  return [...section.matchAll(/^\| `([^`]+)` \|/gm)].map(([, field]) => String(field))
}
