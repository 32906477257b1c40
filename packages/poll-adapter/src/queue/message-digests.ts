import { createHash } from 'node:crypto'
import type { SqsMessageAttribute } from './sqs-shapes.ts'

/** The digest of a body; clients compare it with what they got. */
export function digestOfBody(body: string): string {
  return createHash('md5').update(body, 'utf8').digest('hex')
}

/**
 * The digest of attributes: sorted by name, each as name, type, a byte for the kind of value, and
 * value, with a length of four bytes before each text. Undefined where there are none.
 */
export function digestOfAttributes(
  attributes: Readonly<Record<string, SqsMessageAttribute>>,
): string | undefined {
  const names = Object.keys(attributes).toSorted()
  if (names.length === 0) return undefined
  const hash = createHash('md5')
  const add = (value: string | Uint8Array): void => {
    const bytes = Buffer.from(value as Uint8Array)
    const length = Buffer.alloc(4)
    length.writeUInt32BE(bytes.length)
    hash.update(length).update(bytes)
  }
  for (const name of names) {
    const attribute = attributes[name]
    if (attribute === undefined) continue
    const { DataType, StringValue, BinaryValue } = attribute
    add(name)
    add(DataType)
    hash.update(Buffer.of(BinaryValue === undefined ? STRING : BINARY))
    add(BinaryValue ?? StringValue ?? '')
  }
  return hash.digest('hex')
}

const STRING = 1
const BINARY = 2
