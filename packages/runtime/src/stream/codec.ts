/**
 * Turns payloads into what is stored in the `data` field and back. `encode` must be deterministic
 * enough that `decode(encode(x))` is equal to `x`; both may throw, which is reported as
 * `PAYLOAD_INVALID`.
 */
export interface Codec {
  /** A short name for diagnostics, for example `json`. */
  readonly name: string
  /**
   * Whether `encode` yields bytes that are not UTF-8 text. Text is about a fifth cheaper to read;
   * one binary stream makes every stream on the same tail be read as bytes.
   */
  readonly binary: boolean
  encode(value: unknown): string | Uint8Array
  decode(stored: string | Uint8Array): unknown
}

/** The default: JSON, readable in every Redis tool and language. */
export const jsonCodec: Codec = {
  name: 'json',
  binary: false,
  encode(value) {
    const text = JSON.stringify(value) as string | undefined
    // JSON.stringify answers undefined for undefined, functions and symbols instead of throwing.
    if (text === undefined) throw new TypeError(`a ${typeof value} has no JSON form`)
    return text
  },
  decode(stored) {
    return JSON.parse(typeof stored === 'string' ? stored : Buffer.from(stored).toString('utf8'))
  },
}
