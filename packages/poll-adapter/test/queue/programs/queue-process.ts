import type { SQSClient } from '@aws-sdk/client-sqs'
import { connect, defineStream } from '@millrace/runtime'
import { Consumer } from 'sqs-consumer'
import { createSqsClient } from '../../../src/queue/sqs-client.ts'

/** A process with one sqs-consumer over a queue, for tests that kill it. */
export interface QueueProcessOptions {
  readonly url: string
  readonly stream: string
  readonly queueUrl: string
  readonly group: string
  readonly batch: boolean
  readonly visibilityTimeout: number
  /** How long its handler takes, in milliseconds; -1 for ever. */
  readonly handlerMs: number
  /** One in so many handlers fails. */
  readonly failEvery: number
}

interface Received {
  readonly Body?: string | undefined
  readonly Attributes?: Readonly<Record<string, string>> | undefined
}

const options = JSON.parse(process.argv[2] ?? '') as QueueProcessOptions
const millrace = await connect(options.url, { blockMs: 500 })
const sqs = createSqsClient<SQSClient>({
  millrace,
  queues: {
    [options.queueUrl]: {
      stream: defineStream(options.stream),
      group: options.group,
      leaseMs: 1_000,
    },
  },
})

let handled = 0

function say(word: string, message: Received): void {
  const { n } = JSON.parse(message.Body ?? '{}') as { n: number }
  process.stdout.write(`${word} ${n} ${message.Attributes?.['ApproximateReceiveCount'] ?? ''}\n`)
}

async function handle(message: Received): Promise<void> {
  say('received', message)
  if (options.handlerMs < 0) await new Promise(() => undefined)
  await new Promise((resolve) => setTimeout(resolve, options.handlerMs))
  if (++handled % options.failEvery === 0) throw new Error('not this time')
  say('handled', message)
}

const consumer = Consumer.create({
  queueUrl: options.queueUrl,
  sqs,
  batchSize: 10,
  waitTimeSeconds: 1,
  visibilityTimeout: options.visibilityTimeout,
  messageSystemAttributeNames: ['All'],
  ...(options.batch
    ? {
        handleMessageBatch: async (messages) => {
          await Promise.all(messages.map(handle))
          return messages
        },
      }
    : {
        handleMessage: async (message) => {
          await handle(message)
          return message
        },
      }),
})
consumer.on('message_processed', (message) => {
  say('deleted', message)
})
consumer.on('error', (error) => {
  process.stdout.write(`refused ${error.message}\n`)
})
consumer.on('processing_error', () => undefined)
consumer.start()
