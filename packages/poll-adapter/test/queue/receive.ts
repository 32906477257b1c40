import { type Message, ReceiveMessageCommand, type SQSClient } from '@aws-sdk/client-sqs'
import { QUEUE_URL } from './queue-on-redis.ts'

/** One receive that waits a little by default and asks for all attributes. */
export async function receive(
  client: SQSClient,
  input: {
    readonly MaxNumberOfMessages?: number
    readonly VisibilityTimeout?: number
    readonly WaitTimeSeconds?: number
  },
): Promise<Message[]> {
  const { Messages = [] } = await client.send(
    new ReceiveMessageCommand({
      QueueUrl: QUEUE_URL,
      WaitTimeSeconds: 10,
      MessageAttributeNames: ['All'],
      MessageSystemAttributeNames: ['All'],
      ...input,
    }),
  )
  return Messages
}
