import {
  ChangeMessageVisibilityBatchCommand,
  ChangeMessageVisibilityCommand,
  CreateQueueCommand,
  DeleteMessageBatchCommand,
  DeleteMessageCommand,
  GetQueueAttributesCommand,
  GetQueueUrlCommand,
  type Message,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  SendMessageCommand,
  type SQSClient,
} from '@aws-sdk/client-sqs'
import { waitFor } from '@millrace/testkit'
import { describe, expect, it } from 'vitest'
import { isPollAdapterError } from '../../src/errors.ts'
import { digestOfAttributes, digestOfBody } from '../../src/queue/message-digests.ts'
import { createSqsClient } from '../../src/queue/sqs-client.ts'
import { GROUP, numberIn, QUEUE_URL, range, useQueues } from './queue-on-redis.ts'

const bed = useQueues()

const QueueUrl = QUEUE_URL

describe('a receive', () => {
  it('takes at most as many as were asked for, with what SQS says about each', async () => {
    const stream = bed.stream()
    const millrace = await bed.millrace()
    const before = Date.now()
    await millrace.publish(
      stream,
      range(5).map((n) => ({ n })),
      { headers: { source: 'till' } },
    )
    const client = await bed.client(stream)
    const messages = await receive(client, { MaxNumberOfMessages: 3, VisibilityTimeout: 30 })
    expect(messages.map(numberIn)).toEqual([0, 1, 2])
    const first = messages[0]
    expect(first?.MD5OfBody).toBe(digestOfBody('{"n":0}'))
    expect(first?.MessageAttributes).toEqual({
      source: { DataType: 'String', StringValue: 'till' },
    })
    expect(Number(first?.Attributes?.SentTimestamp)).toBeGreaterThanOrEqual(before - 1_000)
    expect(Number(first?.Attributes?.ApproximateFirstReceiveTimestamp)).toBeGreaterThanOrEqual(
      before,
    )
    expect(first?.Attributes?.ApproximateReceiveCount).toBe('1')
    expect(new Set(messages.map(({ ReceiptHandle }) => ReceiptHandle)).size).toBe(3)
  })

  it('gives only the attributes that were asked for', async () => {
    const stream = bed.stream()
    const millrace = await bed.millrace()
    await millrace.publish(
      stream,
      { n: 1 },
      { headers: { 'app.a': '1', 'app.b': '2', other: '3' } },
    )
    const client = await bed.client(stream)
    const { Messages = [] } = await client.send(
      new ReceiveMessageCommand({
        QueueUrl,
        WaitTimeSeconds: 5,
        MessageAttributeNames: ['app.*'],
        MessageSystemAttributeNames: ['SentTimestamp'],
      }),
    )
    expect(Object.keys(Messages[0]?.MessageAttributes ?? {}).toSorted()).toEqual(['app.a', 'app.b'])
    expect(Object.keys(Messages[0]?.Attributes ?? {})).toEqual(['SentTimestamp'])
  })

  it('answers with nothing when there is nothing, at once or after its wait', async () => {
    const client = await bed.client(bed.stream())
    for (const WaitTimeSeconds of [0, 1]) {
      const answer = await client.send(new ReceiveMessageCommand({ QueueUrl, WaitTimeSeconds }))
      expect(answer.Messages).toBeUndefined()
    }
  })

  it('is answered as soon as something comes', async () => {
    const stream = bed.stream()
    const millrace = await bed.millrace()
    const client = await bed.client(stream)
    const waiting = receive(client, { WaitTimeSeconds: 20, MaxNumberOfMessages: 10 })
    await waitFor(async () => (await millrace.inspect(stream)).groups.length === 1, {
      describe: 'the member',
    })
    await millrace.publish(stream, { n: 7 })
    expect((await waiting).map(numberIn)).toEqual([7])
  })

  it('shares what comes among all that wait in a process', async () => {
    const stream = bed.stream()
    const millrace = await bed.millrace()
    const client = await bed.client(stream)
    const waiting = range(4).map(() => receive(client, { WaitTimeSeconds: 20 }))
    await millrace.publish(
      stream,
      range(4).map((n) => ({ n })),
    )
    const received = (await Promise.all(waiting)).flat().map(numberIn)
    expect(received.toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3])
  })

  it('ends with an AbortError when it is aborted, and keeps nothing', async () => {
    const stream = bed.stream()
    const millrace = await bed.millrace()
    const client = await bed.client(stream)
    const controller = new AbortController()
    const waiting = client.send(
      new ReceiveMessageCommand({ QueueUrl, WaitTimeSeconds: 20, MaxNumberOfMessages: 10 }),
      { abortSignal: controller.signal },
    )
    controller.abort()
    await expect(waiting).rejects.toMatchObject({ name: 'AbortError' })
    await millrace.publish(
      stream,
      range(3).map((n) => ({ n })),
    )
    const other = await bed.client(stream)
    const numbers: number[] = []
    while (numbers.length < 3) {
      const messages = await receive(other, { MaxNumberOfMessages: 10, WaitTimeSeconds: 5 })
      numbers.push(...messages.map(numberIn))
    }
    expect(numbers.toSorted((a, b) => a - b)).toEqual([0, 1, 2])
  })

  it('is refused above the number of messages that may be in flight', async () => {
    const stream = bed.stream()
    const millrace = await bed.millrace()
    await millrace.publish(
      stream,
      range(3).map((n) => ({ n })),
    )
    const client = await bed.client(stream, { maxInFlight: 2 })
    expect(await receive(client, { MaxNumberOfMessages: 10 })).toHaveLength(2)
    await expect(receive(client, {})).rejects.toMatchObject({ name: 'OverLimit' })
  })

  it('fails when its group cannot go on, and works again once that is mended', async () => {
    const stream = bed.stream()
    const client = await bed.client(stream)
    const redis = bed.server.client()
    const key = `mr:{${stream.name}}${stream.name}`
    expect(await receive(client, { WaitTimeSeconds: 0 })).toEqual([])
    await redis.set(key, 'not a stream')
    const failure = await waitFor(
      () =>
        receive(client, { WaitTimeSeconds: 1 }).then(
          () => undefined,
          (error: unknown) => error,
        ),
      { describe: 'the failure' },
    )
    expect(failure).toMatchObject({ name: 'InternalFailure', $fault: 'server' })
    await redis.del(key)
    const millrace = await bed.millrace()
    await millrace.publish(stream, { n: 3 })
    const messages = await waitFor(
      () =>
        receive(client, { WaitTimeSeconds: 1 }).then(
          (some) => some.length > 0 && some,
          () => undefined,
        ),
      { describe: 'the message' },
    )
    expect(messages.map(numberIn)).toEqual([3])
  })

  it('refuses what SQS refuses', async () => {
    const client = await bed.client(bed.stream())
    await expect(receive(client, { MaxNumberOfMessages: 11 })).rejects.toMatchObject({
      name: 'InvalidParameterValue',
    })
    await expect(receive(client, { VisibilityTimeout: 43_201 })).rejects.toMatchObject({
      name: 'InvalidParameterValue',
    })
    await expect(
      client.send(new ReceiveMessageCommand({ QueueUrl: 'https://sqs/1/nothing' })),
    ).rejects.toMatchObject({ name: 'QueueDoesNotExist', $fault: 'client' })
    await expect(
      client.send(new CreateQueueCommand({ QueueName: 'x' }) as never),
    ).rejects.toMatchObject({ name: 'UnsupportedOperation' })
  })
})

describe('a receipt', () => {
  it('deletes its message for good; deleting twice is no error', async () => {
    const stream = bed.stream()
    const millrace = await bed.millrace()
    await millrace.publish(stream, { n: 1 })
    const client = await bed.client(stream)
    const ReceiptHandle = (await receive(client, {}))[0]?.ReceiptHandle
    await client.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle }))
    expect(await bed.pending(stream)).toBe(0)
    await client.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle }))
  })

  it('is worthless once its message was received again', async () => {
    const stream = bed.stream()
    const millrace = await bed.millrace()
    await millrace.publish(stream, { n: 1 })
    const client = await bed.client(stream)
    const first = (await receive(client, { VisibilityTimeout: 0 }))[0]
    const second = (await receive(client, { WaitTimeSeconds: 5 }))[0]
    expect(second?.MessageId).toBe(first?.MessageId)
    expect(second?.Attributes?.ApproximateReceiveCount).toBe('2')
    expect(second?.Attributes?.ApproximateFirstReceiveTimestamp).toBe(
      first?.Attributes?.ApproximateFirstReceiveTimestamp,
    )
    const late = { QueueUrl, ReceiptHandle: first?.ReceiptHandle }
    await expect(client.send(new DeleteMessageCommand(late))).rejects.toMatchObject({
      name: 'ReceiptHandleIsInvalid',
    })
    await expect(
      client.send(new ChangeMessageVisibilityCommand({ ...late, VisibilityTimeout: 10 })),
    ).rejects.toMatchObject({ name: 'MessageNotInflight' })
    expect(await bed.pending(stream)).toBe(1)
  })

  it('makes its message visible at once, or prolongs its time within twelve hours', async () => {
    const stream = bed.stream()
    const millrace = await bed.millrace()
    await millrace.publish(
      stream,
      range(2).map((n) => ({ n })),
    )
    const client = await bed.client(stream)
    const [a, b] = await receive(client, { MaxNumberOfMessages: 2 })
    const answer = await client.send(
      new ChangeMessageVisibilityBatchCommand({
        QueueUrl,
        Entries: [
          { Id: 'a', ReceiptHandle: a?.ReceiptHandle, VisibilityTimeout: 0 },
          { Id: 'b', ReceiptHandle: b?.ReceiptHandle, VisibilityTimeout: 43_200 },
          { Id: 'c', ReceiptHandle: 'unknown', VisibilityTimeout: 1 },
        ],
      }),
    )
    expect(answer.Successful?.map(({ Id }) => Id)).toEqual(['a', 'b'])
    expect(answer.Failed).toMatchObject([
      { Id: 'c', Code: 'MessageNotInflight', SenderFault: true },
    ])
    expect((await receive(client, { WaitTimeSeconds: 5 })).map(numberIn)).toEqual([0])
  })

  it('of a batch fails by itself', async () => {
    const stream = bed.stream()
    const millrace = await bed.millrace()
    await millrace.publish(stream, { n: 1 })
    const client = await bed.client(stream)
    const ReceiptHandle = (await receive(client, {}))[0]?.ReceiptHandle
    const answer = await client.send(
      new DeleteMessageBatchCommand({
        QueueUrl,
        Entries: [
          { Id: 'good', ReceiptHandle },
          { Id: 'bad', ReceiptHandle: '1-0.unknown' },
        ],
      }),
    )
    expect(answer.Successful).toEqual([{ Id: 'good' }])
    expect(answer.Failed).toMatchObject([{ Id: 'bad', Code: 'ReceiptHandleIsInvalid' }])
    await expect(
      client.send(new DeleteMessageBatchCommand({ QueueUrl, Entries: [] })),
    ).rejects.toMatchObject({ name: 'EmptyBatchRequest' })
  })

  it('cannot delete what another process has claimed, and says so', async () => {
    const stream = bed.stream()
    const millrace = await bed.millrace()
    await millrace.publish(stream, { n: 1 })
    const client = await bed.client(stream)
    const ReceiptHandle = (await receive(client, {}))[0]?.ReceiptHandle
    // What an operator's mistake leaves of a member is the same as a lease that was lost.
    await bed.server.client().del(`mr:{${stream.name}}${stream.name}:state:${GROUP}`)
    const deletion = client.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle }))
    await expect(deletion).rejects.toMatchObject({ name: 'ReceiptHandleIsInvalid' })
  })
})

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

describe('digests', () => {
  it('are those that SQS computes', () => {
    expect(digestOfBody('hello')).toBe('5d41402abc4b2a76b9719d911017c592')
    expect(
      digestOfAttributes({ timestamp: { DataType: 'Number', StringValue: '1493147359900' } }),
    ).toBe('235c5c510d26fb653d073faed50ae77c')
  })
})

/** One receive that waits a little by default and asks for all attributes. */
async function receive(
  client: SQSClient,
  input: {
    readonly MaxNumberOfMessages?: number
    readonly VisibilityTimeout?: number
    readonly WaitTimeSeconds?: number
  },
): Promise<Message[]> {
  const { Messages = [] } = await client.send(
    new ReceiveMessageCommand({
      QueueUrl,
      WaitTimeSeconds: 10,
      MessageAttributeNames: ['All'],
      MessageSystemAttributeNames: ['All'],
      ...input,
    }),
  )
  return Messages
}
