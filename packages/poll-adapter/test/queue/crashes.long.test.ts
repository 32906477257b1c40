import type { Message } from '@aws-sdk/client-sqs'
import { waitFor } from '@millrace/testkit'
import { describe, expect, it } from 'vitest'
import {
  GROUP,
  numberIn,
  QUEUE_URL,
  type QueueProcess,
  range,
  useQueues,
} from './queue-on-redis.ts'

const bed = useQueues()

const KILLS = 8

describe.each([
  { mode: 'one by one', batch: false },
  { mode: 'in batches', batch: true },
])('processes with sqs-consumer that are killed, $mode', ({ batch }) => {
  it('lose nothing, and what they had is received again', async () => {
    const stream = bed.stream()
    const millrace = await bed.millrace()
    const all: QueueProcess[] = []
    const start = (): QueueProcess => {
      const one = bed.spawn({
        stream: stream.name,
        queueUrl: QUEUE_URL,
        group: GROUP,
        batch,
        visibilityTimeout: 2,
        handlerMs: 5,
        failEvery: 23,
      })
      all.push(one)
      return one
    }
    const numbers = (word: string): number[] =>
      all.flatMap(({ lines }) =>
        lines.filter((line) => line.startsWith(word)).map((line) => Number(line.split(' ')[1])),
      )
    const running = [start(), start(), start()]
    let published = 0
    const ending = new AbortController()
    const publishing = publishSlowly()
    for (let kill = 0; kill < KILLS; kill++) {
      const victim = running[kill % running.length]
      if (victim === undefined) throw new Error('there is always somebody')
      // At another moment of its work each time: after so many messages.
      const before = victim.lines.length
      await waitFor(() => victim.lines.length > before + 3 + kill, {
        describe: 'some messages',
        timeoutMs: 60_000,
      })
      victim.child.kill('SIGKILL')
      await victim.exited
      running[kill % running.length] = start()
    }
    ending.abort()
    await publishing
    await waitFor(async () => new Set(numbers('handled')).size === published && (await isEmpty()), {
      describe: 'every message to be handled and deleted',
      timeoutMs: 60_000,
    })
    const handled = numbers('handled')
    expect([...new Set(handled)].toSorted((a, b) => a - b)).toEqual(range(published))
    const again = all.flatMap(({ lines }) =>
      lines.filter((line) => /^received \d+ [^1]/.test(line)),
    )
    expect(again.length).toBeGreaterThan(0)

    async function publishSlowly(): Promise<void> {
      while (!ending.signal.aborted) {
        const first = published
        await millrace.publish(
          stream,
          range(10).map((i) => ({ n: first + i })),
        )
        published += 10
        await waitFor(() => new Set(numbers('received')).size >= published - 30, {
          describe: 'the receivers',
          timeoutMs: 60_000,
        })
      }
    }

    async function isEmpty(): Promise<boolean> {
      const { groups } = await millrace.inspect(stream)
      const group = groups.find(({ name }) => name === GROUP)
      return group !== undefined && group.pending === 0 && group.lag.events === 0
    }
  }, 180_000)

  it('cannot delete what others have received while they hung', async () => {
    const stream = bed.stream()
    const millrace = await bed.millrace()
    await millrace.publish(
      stream,
      range(5).map((n) => ({ n })),
    )
    const hung = bed.spawn({
      stream: stream.name,
      queueUrl: QUEUE_URL,
      group: GROUP,
      batch,
      visibilityTimeout: 43_200,
      handlerMs: 300,
      failEvery: 1_000,
    })
    await waitFor(() => hung.lines.length === 5, { describe: 'all five received' })
    hung.child.kill('SIGSTOP')
    const received: number[] = []
    const finish = Promise.withResolvers<void>()
    const handle = async (message: Message): Promise<Message> => {
      received.push(numberIn(message))
      await finish.promise
      return message
    }
    const deleted: number[] = []
    const consumer = bed.consumer(await bed.client(stream), {
      batchSize: 10,
      ...(batch
        ? { handleMessageBatch: (messages) => Promise.all(messages.map(handle)) }
        : { handleMessage: handle }),
    })
    consumer.on('message_processed', (message) => deleted.push(numberIn(message)))
    await waitFor(() => received.length > 0, { describe: 'the messages of the one that hangs' })
    hung.child.kill('SIGCONT')
    await waitFor(() => hung.lines.some((line) => line.startsWith('refused')), {
      describe: 'the refusal',
    })
    expect(hung.lines.filter((line) => line.startsWith('deleted'))).toEqual([])
    finish.resolve()
    hung.child.kill('SIGKILL')
    await waitFor(() => new Set(deleted).size === 5, { describe: 'all five deleted' })
    expect(await bed.pending(stream)).toBe(0)
  })

  it('leave their messages to others after a lease, whatever the visibility timeout', async () => {
    const stream = bed.stream()
    const millrace = await bed.millrace()
    await millrace.publish(
      stream,
      range(5).map((n) => ({ n })),
    )
    const dead = bed.spawn({
      stream: stream.name,
      queueUrl: QUEUE_URL,
      group: GROUP,
      batch,
      visibilityTimeout: 43_200,
      handlerMs: -1,
      failEvery: 1_000,
    })
    await waitFor(() => dead.lines.length === 5, { describe: 'all five received' })
    dead.child.kill('SIGKILL')
    await dead.exited
    const deleted: string[] = []
    const consumer = bed.consumer(await bed.client(stream), {
      batchSize: 10,
      ...(batch
        ? { handleMessageBatch: (messages) => Promise.resolve(messages) }
        : { handleMessage: (message) => Promise.resolve(message) }),
    })
    consumer.on('message_processed', ({ Attributes }) =>
      deleted.push(Attributes?.ApproximateReceiveCount ?? ''),
    )
    await waitFor(() => deleted.length === 5, { describe: 'all five deleted' })
    expect(deleted).toEqual(['2', '2', '2', '2', '2'])
  })
})
