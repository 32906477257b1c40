import {
  ChangeMessageVisibilityBatchCommand,
  ChangeMessageVisibilityCommand,
  DeleteMessageBatchCommand,
  DeleteMessageCommand,
} from '@aws-sdk/client-sqs'
import { describe, expect, it } from 'vitest'
import { GROUP, numberIn, QUEUE_URL, range, useQueues } from './queue-on-redis.ts'
import { receive } from './receive.ts'

const bed = useQueues()

const QueueUrl = QUEUE_URL

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
