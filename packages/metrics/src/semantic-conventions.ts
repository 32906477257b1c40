/**
 * Names of OpenTelemetry's semantic conventions for messaging, all that this package uses, because they
 * still move: these are of version 1.45. What no convention names is called `millrace.…`.
 */

/** Instruments. */
export const instruments = {
  sentMessages: 'messaging.client.sent.messages',
  consumedMessages: 'messaging.client.consumed.messages',
  operationDuration: 'messaging.client.operation.duration',
  processDuration: 'messaging.process.duration',
} as const

/** Attributes of spans and metrics. */
export const attributes = {
  system: 'messaging.system.name',
  operationName: 'messaging.operation.name',
  operationType: 'messaging.operation.type',
  destination: 'messaging.destination.name',
  consumerGroup: 'messaging.consumer.group.name',
  messageId: 'messaging.message.id',
  batchCount: 'messaging.batch.message_count',
  errorType: 'error.type',
} as const

/** Attributes that no convention names. */
export const ownAttributes = {
  attempt: 'millrace.attempt',
  redelivered: 'millrace.redelivered',
  redriven: 'millrace.redriven',
  duplicate: 'millrace.duplicate',
  stored: 'millrace.stored',
} as const

/** The value of `messaging.system.name`: Redis has no registered one, and needs none. */
export const SYSTEM = 'redis'

/** Operations: the name is also the first word of the span's name. */
export const operations = {
  send: { name: 'send', type: 'send' },
  receive: { name: 'receive', type: 'receive' },
  process: { name: 'process', type: 'process' },
  acknowledge: { name: 'ack', type: 'settle' },
  checkpoint: { name: 'checkpoint', type: 'settle' },
} as const

/** What labels of Prometheus are called as attributes. */
export const attributeOfLabel: Readonly<Record<string, string>> = {
  stream: attributes.destination,
  group: attributes.consumerGroup,
  code: attributes.errorType,
}

/** The bounds that the conventions recommend for durations, in seconds. */
export const DURATION_BUCKETS: readonly number[] = [
  0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
]
