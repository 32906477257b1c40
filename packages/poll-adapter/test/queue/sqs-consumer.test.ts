import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import type { Message } from '@aws-sdk/client-sqs'
import { waitFor } from '@millrace/testkit'
import { describe, expect, it } from 'vitest'
import { numberIn, range, useQueues } from './queue-on-redis.ts'

const bed = useQueues()

describe('sqs-consumer, unmodified', () => {
  it('is the release that was looked at', () => {
    const main = createRequire(import.meta.url).resolve('sqs-consumer')
    const manifest = readFileSync(join(dirname(main), '../../package.json'), 'utf8')
    expect((JSON.parse(manifest) as { version: string }).version).toBe('15.0.3')
  })

  it('handles and deletes every message, one by one', async () => {
    const stream = bed.stream()
    const millrace = await bed.millrace()
    await millrace.publish(
      stream,
      range(60).map((n) => ({ n })),
    )
    const handled: number[] = []
    const deleted: number[] = []
    const consumer = bed.consumer(await bed.client(stream), {
      handleMessage: (message) => {
        handled.push(numberIn(message))
        return Promise.resolve(message)
      },
    })
    consumer.on('message_processed', (message) => deleted.push(numberIn(message)))
    await waitFor(() => deleted.length === 60, { describe: 'all deletions' })
    expect(handled).toEqual(range(60))
    expect(deleted).toEqual(range(60))
    expect(await bed.pending(stream)).toBe(0)
  })

  it('handles and deletes every message in batches, also what comes while it waits', async () => {
    const stream = bed.stream()
    const millrace = await bed.millrace()
    const sizes: number[] = []
    const deleted: number[] = []
    const consumer = bed.consumer(await bed.client(stream), {
      batchSize: 10,
      handleMessageBatch: (messages) => {
        sizes.push(messages.length)
        return Promise.resolve(messages)
      },
    })
    consumer.on('message_processed', (message) => deleted.push(numberIn(message)))
    await millrace.publish(
      stream,
      range(45).map((n) => ({ n })),
    )
    await waitFor(() => deleted.length === 45, { describe: 'the first' })
    await millrace.publish(stream, [{ n: 45 }, { n: 46 }])
    await waitFor(() => deleted.length === 47, { describe: 'those that came later' })
    expect(deleted.toSorted((a, b) => a - b)).toEqual(range(47))
    expect(Math.max(...sizes)).toBe(10)
    expect(await bed.pending(stream)).toBe(0)
  })

  it('deletes only the part of a batch that the handler returned; the rest comes again', async () => {
    const stream = bed.stream()
    const millrace = await bed.millrace()
    await millrace.publish(
      stream,
      range(4).map((n) => ({ n })),
    )
    const counts = new Map<number, string[]>()
    const deleted: number[] = []
    // Nothing but its visibility timeout brings a message back, and all are deleted long before that.
    const consumer = bed.consumer(await bed.client(stream, { leaseMs: 10_000 }), {
      batchSize: 10,
      visibilityTimeout: 3,
      handleMessageBatch: (messages) => {
        for (const message of messages) {
          const n = numberIn(message)
          counts.set(n, [...(counts.get(n) ?? []), receiveCount(message)])
        }
        return Promise.resolve(
          messages.filter(
            (message) => numberIn(message) % 2 === 0 || receiveCount(message) !== '1',
          ),
        )
      },
    })
    consumer.on('message_processed', (message) => deleted.push(numberIn(message)))
    await waitFor(() => deleted.length === 4, { describe: 'all deletions' })
    expect(Object.fromEntries(counts)).toEqual({ 0: ['1'], 1: ['1', '2'], 2: ['1'], 3: ['1', '2'] })
  })

  it('gets a message again at once when its handler failed and asks for that', async () => {
    const stream = bed.stream()
    const millrace = await bed.millrace()
    await millrace.publish(stream, { n: 1 })
    const counts: string[] = []
    const consumer = bed.consumer(await bed.client(stream), {
      visibilityTimeout: 3_600,
      terminateVisibilityTimeout: true,
      handleMessage: (message) => {
        counts.push(receiveCount(message))
        return counts.length < 3 ? Promise.reject(new Error('no')) : Promise.resolve(message)
      },
    })
    const deleted: Message[] = []
    consumer.on('message_processed', (message) => deleted.push(message))
    await waitFor(() => deleted.length === 1, { describe: 'the deletion' })
    expect(counts).toEqual(['1', '2', '3'])
    expect(await bed.pending(stream)).toBe(0)
  })

  it('hands a message to somebody else when its visibility timeout ends, and refuses the late deletion', async () => {
    const stream = bed.stream()
    const millrace = await bed.millrace()
    await millrace.publish(stream, { n: 1 })
    const slowDone = Promise.withResolvers<void>()
    const received = Promise.withResolvers<void>()
    const slow = bed.consumer(await bed.client(stream), {
      visibilityTimeout: 1,
      handleMessage: async (message) => {
        received.resolve()
        await slowDone.promise
        return message
      },
    })
    const refused = Promise.withResolvers<Error>()
    slow.on('error', (error) => {
      refused.resolve(error)
    })
    await received.promise
    const deleted: string[] = []
    const quick = bed.consumer(await bed.client(stream), {
      handleMessage: (message) => Promise.resolve(message),
    })
    quick.on('message_processed', (message) => deleted.push(receiveCount(message)))
    await waitFor(() => deleted.length === 1, { describe: 'the deletion by the other' })
    expect(deleted).toEqual(['2'])
    slowDone.resolve()
    expect(await refused.promise).toMatchObject({ code: 'ReceiptHandleIsInvalid', statusCode: 400 })
  })

  it('keeps a message with heartbeats for longer than its visibility timeout', async () => {
    const stream = bed.stream()
    const millrace = await bed.millrace()
    await millrace.publish(stream, { n: 1 })
    const deleted: string[] = []
    let handled = 0
    const client = await bed.client(stream)
    const consumer = bed.consumer(client, {
      visibilityTimeout: 2,
      heartbeatInterval: 1,
      handleMessage: async (message) => {
        handled++
        // What is waited for is time itself: more than one visibility timeout.
        await new Promise((resolve) => setTimeout(resolve, 3_200))
        return message
      },
    })
    consumer.on('message_processed', (message) => deleted.push(receiveCount(message)))
    await waitFor(() => deleted.length === 1, { describe: 'the deletion' })
    expect({ handled, deleted }).toEqual({ handled: 1, deleted: ['1'] })
  })

  it('leaves everything to the others once it is stopped', async () => {
    const stream = bed.stream()
    const millrace = await bed.millrace()
    await millrace.publish(stream, { n: 0 })
    const first: number[] = []
    const stopped = bed.consumer(await bed.client(stream), {
      batchSize: 10,
      handleMessage: (message) => {
        first.push(numberIn(message))
        return Promise.resolve(message)
      },
    })
    await waitFor(() => first.length === 1, { describe: 'the first message' })
    stopped.stop({ abort: true })
    const others: number[] = []
    bed.consumer(await bed.client(stream), {
      batchSize: 10,
      handleMessage: (message) => {
        others.push(numberIn(message))
        return Promise.resolve(message)
      },
    })
    await millrace.publish(
      stream,
      range(30).map((n) => ({ n })),
    )
    await waitFor(() => others.length === 30, { describe: 'all others' })
    expect(first).toEqual([0])
  })
})

function receiveCount(message: Message): string {
  return message.Attributes?.ApproximateReceiveCount ?? ''
}
