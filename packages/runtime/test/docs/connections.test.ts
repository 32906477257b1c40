import { expect, test } from 'vitest'
import { startRedis } from '@millrace/testkit'
import { connect } from '../../src/index.ts'
import { fullRound, orders } from './round.ts'

// The formula of docs/guarantees.md.

test('a process that only publishes has one connection', async () => {
  await using server = await startRedis()
  await using millrace = await connect(server.url)
  await millrace.publish(orders, { order: 'A-1' })
  expect(await names(server)).toEqual(['millrace:data'])
})

test('a process with readers and consumers has three, and one more for each group', async () => {
  await using server = await startRedis()
  let open: string[] = []
  let counted = {}
  await fullRound(server.url, async ({ connections }) => {
    open = await names(server)
    counted = connections
  })
  expect(open).toEqual([
    'millrace:control',
    'millrace:data',
    'millrace:group',
    'millrace:group',
    'millrace:tail',
  ])
  expect(counted).toEqual({ control: 1, data: 1, discovery: 0, durable: 0, group: 2, tail: 1 })
})

async function names(server: Awaited<ReturnType<typeof startRedis>>): Promise<string[]> {
  const list = String(await server.client().client('LIST'))
  return [...list.matchAll(/ name=(millrace:\S+)/g)].map(([, name]) => String(name)).toSorted()
}
