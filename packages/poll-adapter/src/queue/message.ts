import type { Event } from '@millrace/runtime'
import { digestOfAttributes, digestOfBody } from './message-digests.ts'
import type { SqsMessage, SqsMessageAttribute } from './sqs-shapes.ts'

/** What is known of one delivery beside its event. */
export interface Delivered {
  readonly event: Event
  readonly body: string
  readonly receiptHandle: string
  /** How often it was received, this time included, as far as is known. */
  readonly receiveCount: number
  /** When it was received first, as far as this process knows, in milliseconds since 1970. */
  readonly firstReceiveMs: number
}

/** Which attributes were asked for. */
export interface AttributeSelection {
  readonly system: readonly string[]
  readonly message: readonly string[]
}

/** A delivery in the form of an SQS message, with the attributes that were asked for. */
export function toMessage(delivered: Delivered, selection: AttributeSelection): SqsMessage {
  const { body, event, receiptHandle } = delivered
  const system = systemAttributes(delivered, selection.system)
  const attributes = messageAttributes(event, selection.message)
  const digest = digestOfAttributes(attributes)
  return {
    MessageId: event.id,
    ReceiptHandle: receiptHandle,
    Body: body,
    MD5OfBody: digestOfBody(body),
    ...(Object.keys(system).length > 0 && { Attributes: system }),
    ...(digest !== undefined && { MessageAttributes: attributes, MD5OfMessageAttributes: digest }),
  }
}

/** The body of an event: a text as it is, everything else as JSON. */
export function defaultBody({ data }: Event): string {
  return typeof data === 'string' ? data : JSON.stringify(data)
}

/**
 * The data of an event that is sent as a message: what JSON says where the same body comes out of it
 * again, else the body as a text. So a consumer gets the very bytes that were sent.
 */
export function defaultData(body: string): unknown {
  if (!body.startsWith('{') && !body.startsWith('[')) return body
  try {
    const data: unknown = JSON.parse(body)
    return JSON.stringify(data) === body ? data : body
  } catch {
    return body
  }
}

/** The headers of an event that is sent as a message. */
export function headersOf(
  attributes: Readonly<Record<string, SqsMessageAttribute>>,
): Record<string, string> {
  const headers: Record<string, string> = {}
  for (const [name, { StringValue }] of Object.entries(attributes)) {
    if (StringValue !== undefined) headers[name] = StringValue
  }
  return headers
}

/** The names that an attribute may have. */
const ATTRIBUTE_NAME = /^[A-Za-z0-9_.-]{1,256}$/

function systemAttributes(
  { event, receiveCount, firstReceiveMs }: Delivered,
  wanted: readonly string[],
): Record<string, string> {
  const all: Record<string, string> = {
    ApproximateFirstReceiveTimestamp: String(firstReceiveMs),
    ApproximateReceiveCount: String(receiveCount),
    SentTimestamp: String(event.timeMs),
    ...(event.key !== undefined && { MessageGroupId: event.key }),
  }
  if (wanted.includes('All')) return all
  return Object.fromEntries(Object.entries(all).filter(([name]) => wanted.includes(name)))
}

function messageAttributes(
  { headers }: Event,
  wanted: readonly string[],
): Record<string, SqsMessageAttribute> {
  const chosen: Record<string, SqsMessageAttribute> = {}
  for (const [name, value] of Object.entries(headers)) {
    if (!ATTRIBUTE_NAME.test(name) || !wanted.some((pattern) => matches(pattern, name))) continue
    chosen[name] = { DataType: 'String', StringValue: value }
  }
  return chosen
}

/** `All`, `.*`, a name, or the beginning of one with `.*` behind it. */
function matches(pattern: string, name: string): boolean {
  if (pattern === 'All' || pattern === '.*') return true
  return pattern.endsWith('.*') ? name.startsWith(pattern.slice(0, -2)) : pattern === name
}
