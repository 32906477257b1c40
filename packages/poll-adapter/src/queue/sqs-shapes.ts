/** The parts of the SQS API that are spoken here, as plain objects in the API's own names. */

/** The actions that are understood. */
export type SqsAction =
  | 'ChangeMessageVisibility'
  | 'ChangeMessageVisibilityBatch'
  | 'DeleteMessage'
  | 'DeleteMessageBatch'
  | 'GetQueueAttributes'
  | 'GetQueueUrl'
  | 'ReceiveMessage'
  | 'SendMessage'
  | 'SendMessageBatch'

export const sqsActions: readonly SqsAction[] = [
  'ChangeMessageVisibility',
  'ChangeMessageVisibilityBatch',
  'DeleteMessage',
  'DeleteMessageBatch',
  'GetQueueAttributes',
  'GetQueueUrl',
  'ReceiveMessage',
  'SendMessage',
  'SendMessageBatch',
]

export interface SqsMessageAttribute {
  readonly DataType: string
  readonly StringValue?: string
  readonly BinaryValue?: Uint8Array
}

export interface SqsMessage {
  readonly MessageId: string
  readonly ReceiptHandle: string
  readonly Body: string
  readonly MD5OfBody: string
  readonly Attributes?: Readonly<Record<string, string>>
  readonly MessageAttributes?: Readonly<Record<string, SqsMessageAttribute>>
  readonly MD5OfMessageAttributes?: string
}

export interface SqsBatchFailure {
  readonly Id: string
  readonly Code: string
  readonly Message: string
  readonly SenderFault: boolean
}

/** What a batch action answers: each entry is in one of the two. */
export interface SqsBatchResult {
  readonly Successful: readonly ({ readonly Id: string } & Readonly<Record<string, string>>)[]
  readonly Failed: readonly SqsBatchFailure[]
}
