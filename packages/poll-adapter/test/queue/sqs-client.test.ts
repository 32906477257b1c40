import { CreateQueueCommand, ReceiveMessageCommand } from '@aws-sdk/client-sqs'
import { waitFor } from '@millrace/testkit'
import { describe, expect, it } from 'vitest'
import { digestOfAttributes, digestOfBody } from '../../src/queue/message-digests.ts'
import { numberIn, QUEUE_URL, range, useQueues } from './queue-on-redis.ts'
import { receive } from './receive.ts'

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

describe('digests', () => {
  it('are those that SQS computes', () => {
    expect(digestOfBody('hello')).toBe('5d41402abc4b2a76b9719d911017c592')
    expect(
      digestOfAttributes({ timestamp: { DataType: 'Number', StringValue: '1493147359900' } }),
    ).toBe('235c5c510d26fb653d073faed50ae77c')
  })
})
