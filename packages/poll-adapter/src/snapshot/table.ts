import { createHash } from 'node:crypto'
import { PollAdapterError } from '../errors.ts'

/** The latest value of one key. */
export interface Row<Value> {
  readonly key: string
  readonly value: Value
  /** The value as JSON, made once. */
  readonly json: string
  /** Strong: equal for equal values, in every process. */
  readonly etag: string
  /** The id of the event that brought the value; '' where it was loaded. */
  readonly version: string
  readonly digest: bigint
}

export interface TableLimits {
  readonly name: string
  readonly maxKeys: number
  readonly maxBytes: number
}

const MODULUS = 1n << 256n

/** The latest value of every key, in the order of the keys, with one ETag for all of it. */
export class Table<Value> {
  readonly #limits: TableLimits
  readonly #rows = new Map<string, Row<Value>>()
  #keys: string[] = []
  #isSorted = true
  #bytes = 0
  /** The sum of the digests of all rows: the same whatever the order in which they came. */
  #sum = 0n
  #version = ''

  constructor(limits: TableLimits) {
    this.#limits = limits
  }

  get keys(): number {
    return this.#rows.size
  }
  get bytes(): number {
    return this.#bytes
  }
  /** The id of the event that last changed anything. */
  get version(): string {
    return this.#version
  }
  /** Equal for equal content, in every process. */
  get etag(): string {
    return `"${this.#sum.toString(36)}"`
  }

  row(key: string): Row<Value> | undefined {
    return this.#rows.get(key)
  }

  rows(): IterableIterator<Row<Value>> {
    return this.#rows.values()
  }

  /** Up to so many rows behind a key, of those that begin with the prefix, in the order of UTF-16 units. */
  after(key: string | undefined, prefix: string, count: number): readonly Row<Value>[] {
    this.#sort()
    const from =
      key === undefined || key < prefix ? this.#place(prefix, true) : this.#place(key, false)
    const rows: Row<Value>[] = []
    for (let i = from; i < this.#keys.length && rows.length < count; i++) {
      const row = this.#rows.get(this.#keys[i] ?? '')
      if (row === undefined || !row.key.startsWith(prefix)) break
      rows.push(row)
    }
    return rows
  }

  /**
   * Answers whether anything changed.
   * @throws PollAdapterError `SNAPSHOT_TOO_LARGE`
   */
  set(key: string, value: Value, version: string): boolean {
    const json: unknown = JSON.stringify(value)
    if (typeof json !== 'string') {
      throw new PollAdapterError(
        'SOURCE_FAILED',
        `The value of ${key} is nothing that JSON can say`,
      )
    }
    const before = this.#rows.get(key)
    if (before?.json === json) return false
    const hash = createHash('sha256').update(json).digest('base64url').slice(0, 27)
    const row = { key, value, json, etag: `"${hash}"`, version, digest: digestOf(key, json) }
    this.#bytes += sizeOf(row) - (before === undefined ? 0 : sizeOf(before))
    this.#sum = (this.#sum + row.digest - (before?.digest ?? 0n) + MODULUS) % MODULUS
    this.#rows.set(key, row)
    if (before === undefined) this.#addKey(key)
    this.#version = version
    this.#assertFits()
    return true
  }

  /** Answers whether there was such a key. */
  delete(key: string, version: string): boolean {
    const before = this.#rows.get(key)
    if (before === undefined) return false
    this.#rows.delete(key)
    this.#sort()
    this.#keys.splice(this.#place(key, true), 1)
    this.#bytes -= sizeOf(before)
    this.#sum = (this.#sum - before.digest + MODULUS) % MODULUS
    this.#version = version
    return true
  }

  #assertFits(): void {
    const { name, maxKeys, maxBytes } = this.#limits
    const problem =
      this.#rows.size > maxKeys
        ? `more than ${maxKeys} keys`
        : this.#bytes > maxBytes
          ? `more than ${maxBytes} bytes`
          : undefined
    if (problem === undefined) return
    throw new PollAdapterError('SNAPSHOT_TOO_LARGE', `Snapshot ${name} would need ${problem}`, {
      name,
    })
  }

  #addKey(key: string): void {
    const last = this.#keys.at(-1)
    if (last !== undefined && last > key) this.#isSorted = false
    this.#keys.push(key)
  }

  #sort(): void {
    if (this.#isSorted) return
    // Sorting is by UTF-16 units, like the comparisons here.
    this.#keys.sort()
    this.#isSorted = true
  }

  /** The index of the first key that is not before this one, or that is after it. */
  #place(key: string, orEqual: boolean): number {
    let low = 0
    let high = this.#keys.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const there = this.#keys[middle] ?? ''
      if (there < key || (!orEqual && there === key)) low = middle + 1
      else high = middle
    }
    return low
  }
}

function digestOf(key: string, json: string): bigint {
  // The length keeps a key and a value from being cut elsewhere.
  const hash = createHash('sha256').update(`${key.length}:${key}${json}`).digest('hex')
  return BigInt(`0x${hash}`)
}

function sizeOf({ key, json }: { readonly key: string; readonly json: string }): number {
  return key.length + json.length
}
