import { LONGEST_VISIBILITY_MS } from './options.ts'
import { SqsError } from './sqs-error.ts'
import type { SqsMessageAttribute } from './sqs-shapes.ts'

/** Reads the parts of a request; each throws the error that SQS has for what is wrong. */

export type SqsInput = Readonly<Record<string, unknown>>

/** One entry of a batch. */
export interface BatchEntry {
  readonly id: string
  readonly input: SqsInput
}

const MOST_ENTRIES = 10

export function requiredText(input: SqsInput, name: string): string {
  const value = input[name]
  if (value === undefined || value === null) {
    throw new SqsError('MissingParameter', `The request must contain ${name}`)
  }
  if (typeof value !== 'string') throw invalid(name, 'must be a text')
  return value
}

export function wholeNumberOf(
  input: SqsInput,
  name: string,
  least: number,
  most: number,
): number | undefined {
  const value = input[name]
  if (value === undefined || value === null) return undefined
  if (!Number.isInteger(value) || (value as number) < least || (value as number) > most) {
    throw invalid(name, `must be a whole number from ${least} to ${most}`)
  }
  return value as number
}

/** The time that a message stays invisible, in milliseconds. */
export function visibilityMsOf(input: SqsInput): number | undefined {
  const seconds = wholeNumberOf(input, 'VisibilityTimeout', 0, LONGEST_VISIBILITY_MS / 1_000)
  return seconds === undefined ? undefined : seconds * 1_000
}

/** All texts of the lists by these names. */
export function textsOf(input: SqsInput, ...names: readonly string[]): string[] {
  return names.flatMap((name) => {
    const value = input[name]
    if (value === undefined || value === null) return []
    if (!Array.isArray(value)) throw invalid(name, 'must be a list')
    return value.map(String)
  })
}

/** The attributes of a message that is sent; only texts can become headers. */
export function attributesOf(input: SqsInput): Record<string, SqsMessageAttribute> {
  const attributes: Record<string, SqsMessageAttribute> = {}
  const given = input['MessageAttributes'] ?? {}
  if (typeof given !== 'object') throw invalid('MessageAttributes', 'must be an object')
  for (const [name, attribute] of Object.entries(given as SqsInput)) {
    const DataType: unknown = Reflect.get(Object(attribute), 'DataType')
    const StringValue: unknown = Reflect.get(Object(attribute), 'StringValue')
    if (typeof DataType !== 'string' || DataType === '') {
      throw invalid(`MessageAttributes.${name}`, 'must have a DataType')
    }
    if (typeof StringValue !== 'string') {
      throw new SqsError(
        'UnsupportedOperation',
        `MessageAttributes.${name}: only attributes with a StringValue can be kept as headers`,
      )
    }
    attributes[name] = { DataType, StringValue }
  }
  return attributes
}

/** @throws SqsError for the batch as a whole, as SQS does */
export function batchOf(input: SqsInput): readonly BatchEntry[] {
  const list = input['Entries']
  if (!Array.isArray(list) || list.length === 0) {
    throw new SqsError('EmptyBatchRequest', 'The batch request has no entries')
  }
  if (list.length > MOST_ENTRIES) {
    throw new SqsError(
      'TooManyEntriesInBatchRequest',
      `A batch has at most ${MOST_ENTRIES} entries, this one has ${list.length}`,
    )
  }
  const entries = list.map((entry: unknown) => {
    const fields = Object(entry) as SqsInput
    const id = requiredText(fields, 'Id')
    if (!/^[A-Za-z0-9_-]{1,80}$/.test(id)) {
      throw new SqsError('InvalidBatchEntryId', `${id} is not an id of a batch entry`)
    }
    return { id, input: fields }
  })
  if (new Set(entries.map(({ id }) => id)).size < entries.length) {
    throw new SqsError('BatchEntryIdsNotDistinct', 'Two entries of the batch have the same id')
  }
  return entries
}

function invalid(name: string, must: string): SqsError {
  return new SqsError('InvalidParameterValue', `${name} ${must}`)
}
