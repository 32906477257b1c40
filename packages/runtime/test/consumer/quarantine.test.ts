import { fork } from 'node:child_process'
import { once } from 'node:events'
import { startRedis } from '@millrace/testkit'
import { expect, test } from 'vitest'
import { connect, defineStream } from '../../src/index.ts'

const program = new URL('../programs/poisoned-consumer.ts', import.meta.url).pathname

test('finds the event that kills its process and does not blame its neighbours', async () => {
  await using redis = await startRedis()
  await using millrace = await connect(redis.url)
  const stream = defineStream<{ n: number }>('events')
  const poison = 137
  await millrace.publish(
    stream,
    Array.from({ length: 300 }, (_, n) => ({ n })),
  )

  const handled = new Set<number>()
  let deaths = 0
  // Three deaths make the quarantine, two more are the recorded attempts; eight would be a defect.
  while (!handled.has(299) && deaths < 8) {
    const child = fork(program, [redis.url, String(poison)], {
      execArgv: ['--conditions=millrace-source'],
    })
    const exited = once(child, 'exit')
    child.on('message', (message: { n: number }) => {
      handled.add(message.n)
      if (message.n === 299) child.kill('SIGTERM')
    })
    const [, signal] = await exited
    if (signal === 'SIGKILL') deaths++
  }

  const all = Array.from({ length: 300 }, (_, n) => n).filter((n) => n !== poison)
  expect([...handled].toSorted((a, b) => a - b)).toEqual(all)
  const admin = redis.client()
  const letters = await admin.xrange('mr:{events}events:dead:victim', '-', '+')
  expect(letters).toHaveLength(1)
  expect(letters[0]?.[1]).toEqual(
    expect.arrayContaining(['data', JSON.stringify({ n: poison }), 'dead:attempts', '2']),
  )
})
