import {
  DeleteMessageCommand,
  GetQueueAttributesCommand,
  GetQueueUrlCommand,
  type Message,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  SendMessageCommand,
} from '@aws-sdk/client-sqs'
import { waitFor } from '@millrace/testkit'
import { describe, expect, it } from 'vitest'
import { isPollAdapterError } from '../../src/errors.ts'
import { digestOfBody } from '../../src/queue/message-digests.ts'
import { createSqsClient } from '../../src/queue/sqs-client.ts'
import { GROUP, numberIn, QUEUE_URL, range, useQueues } from './queue-on-redis.ts'
import { receive } from './receive.ts'

const bed = useQueues()

const QueueUrl = QUEUE_URL

describe('a queue', () => {
  it('moves a message to the dead letters after so many receives', async () => {
    const stream = bed.stream()
    const millrace = await bed.millrace()
    await millrace.publish(stream, { n: 1 })
    const client = await bed.client(stream, { maxReceiveCount: 2 })
    await receive(client, { VisibilityTimeout: 0 })
    await receive(client, { VisibilityTimeout: 0, WaitTimeSeconds: 5 })
    const letters = millrace.deadLetters(stream, GROUP)
    await waitFor(async () => (await bed.pending(stream)) === 0, { describe: 'the dead letter' })
    const found: unknown[] = []
    for await (const letter of letters.list()) found.push(letter.reason)
    expect(found).toEqual(['exhausted'])

    // Back from there it is a message like any other, with receives that count anew.
    const waiting = receive(client, { WaitTimeSeconds: 20 })
    await letters.redrive()
    const again = (await waiting)[0]
    expect(again?.Attributes?.ApproximateReceiveCount).toBe('1')
    await client.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle: again?.ReceiptHandle }))
    expect((await millrace.inspect(stream)).groups[0]).toMatchObject({
      deadLetters: 0,
      redriving: 0,
    })
  })

  it('moves an event of which no message can be made to the dead letters, and goes on', async () => {
    const stream = bed.stream()
    const millrace = await bed.millrace()
    await millrace.publish(
      stream,
      range(3).map((n) => ({ n })),
    )
    const client = await bed.client(stream, {
      body: ({ data }) => {
        if ((data as { n: number }).n === 1) throw new Error('no body')
        return JSON.stringify(data)
      },
    })
    const numbers: number[] = []
    while (numbers.length < 2) {
      numbers.push(...(await receive(client, { MaxNumberOfMessages: 10 })).map(numberIn))
    }
    expect(numbers).toEqual([0, 2])
    const found: unknown[] = []
    await waitFor(
      async () => {
        found.length = 0
        for await (const letter of millrace.deadLetters(stream, GROUP).list()) {
          found.push(letter.reason)
        }
        return found.length > 0
      },
      { describe: 'the dead letter' },
    )
    expect(found).toEqual(['unrecoverable'])
  })

  it('keeps what is in flight through a loss of all connections', async () => {
    const stream = bed.stream()
    const millrace = await bed.millrace()
    await millrace.publish(
      stream,
      range(2).map((n) => ({ n })),
    )
    const client = await bed.client(stream)
    const messages = await receive(client, { MaxNumberOfMessages: 2 })
    await bed.server.client().call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
    for (const { ReceiptHandle } of messages) {
      await client.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle }))
    }
    expect(await bed.pending(stream)).toBe(0)
    await millrace.publish(stream, { n: 2 })
    const next = await receive(client, { WaitTimeSeconds: 20 })
    expect(next.map(({ Attributes }) => Attributes?.ApproximateReceiveCount)).toEqual(['1'])
  })

  it('takes messages, byte for byte', async () => {
    const stream = bed.stream()
    const client = await bed.client(stream)
    const bodies = ['{"n":1}', '{ "n": 1 }', 'plain', '"quoted"', '5', '']
    const MessageAttributes = { shop: { DataType: 'String', StringValue: 'berlin' } }
    const sent = await client.send(
      new SendMessageCommand({ QueueUrl, MessageBody: bodies[0], MessageAttributes }),
    )
    expect(sent.MD5OfMessageBody).toBe(digestOfBody('{"n":1}'))
    await client.send(
      new SendMessageBatchCommand({
        QueueUrl,
        Entries: bodies.slice(1).map((MessageBody, i) => ({ Id: String(i), MessageBody })),
      }),
    )
    const received: Message[] = []
    while (received.length < bodies.length) {
      received.push(...(await receive(client, { MaxNumberOfMessages: 10, WaitTimeSeconds: 5 })))
    }
    expect(received.map(({ Body }) => Body)).toEqual(bodies)
    expect(received[0]?.MessageId).toBe(sent.MessageId)
    expect(received[0]?.MessageAttributes).toEqual(MessageAttributes)
    expect(received[0]?.MD5OfMessageAttributes).toBe(sent.MD5OfMessageAttributes)
  })

  it('tells what it has', async () => {
    const stream = bed.stream()
    const millrace = await bed.millrace()
    await millrace.publish(
      stream,
      range(5).map((n) => ({ n })),
    )
    const client = await bed.client(stream)
    await receive(client, { MaxNumberOfMessages: 2 })
    const { Attributes } = await client.send(
      new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['All'] }),
    )
    expect(Attributes).toMatchObject({
      ApproximateNumberOfMessages: '3',
      ApproximateNumberOfMessagesNotVisible: '2',
      VisibilityTimeout: '30',
    })
    const { QueueUrl: found } = await client.send(new GetQueueUrlCommand({ QueueName: 'orders' }))
    expect(found).toBe(QUEUE_URL)
  })

  it('gives what is in flight to others when its client closes', async () => {
    const stream = bed.stream()
    const millrace = await bed.millrace()
    await millrace.publish(stream, { n: 1 })
    const closing = await bed.client(stream)
    expect(await receive(closing, {})).toHaveLength(1)
    await closing.close({ deadlineMs: 0 })
    const other = await bed.client(stream)
    const messages = await receive(other, { WaitTimeSeconds: 10 })
    expect(messages.map(({ Attributes }) => Attributes?.ApproximateReceiveCount)).toEqual(['2'])
  })

  it('can delete while its client closes', async () => {
    const stream = bed.stream()
    const millrace = await bed.millrace()
    await millrace.publish(stream, { n: 1 })
    const client = await bed.client(stream)
    const ReceiptHandle = (await receive(client, {}))[0]?.ReceiptHandle
    const closed = client.close()
    await client.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle }))
    await closed
    expect(await bed.pending(stream)).toBe(0)
    await expect(receive(client, {})).rejects.toMatchObject({ name: 'ServiceUnavailable' })
  })

  it('is refused when it is a FIFO queue', async () => {
    const millrace = await bed.millrace()
    const queues = { 'orders.fifo': { stream: bed.stream(), group: GROUP } }
    expect(() => createSqsClient({ millrace, queues })).toThrow(
      expect.toSatisfy((error) => isPollAdapterError(error, 'FIFO_UNSUPPORTED')),
    )
    const client = await bed.client(bed.stream())
    await expect(
      client.send(new ReceiveMessageCommand({ QueueUrl: 'https://sqs/1/orders.fifo' })),
    ).rejects.toMatchObject({ name: 'UnsupportedOperation' })
  })

  it('has all problems of its options in one error', async () => {
    const millrace = await bed.millrace()
    const queues = { orders: { group: 'g', visibilityTimeoutSeconds: -1, color: 'red' } as never }
    try {
      createSqsClient({ millrace, queues })
      expect.unreachable()
    } catch (error) {
      expect(isPollAdapterError(error, 'OPTIONS_INVALID') && error.issues.length).toBe(3)
    }
  })
})
