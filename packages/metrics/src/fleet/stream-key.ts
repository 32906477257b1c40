/** What a key that holds a stream is. */
export type StreamKey =
  | {
      readonly kind: 'stream'
      readonly key: string
      /** The event stream's name, where the key looks like one of Millrace's; else ''. */
      readonly name: string
    }
  /** A companion: dead letters of somebody who reads `of`, or such on their way back. */
  | {
      readonly kind: 'dead' | 'redrive'
      readonly key: string
      readonly of: string
      readonly group: string
    }

const COMPANION = /^(.*\{[^{}]+\}[A-Za-z0-9._-]+):(dead|redrive):([A-Za-z0-9._-]{1,128})$/
const STREAM = /\{[^{}]+\}([A-Za-z0-9._-]{1,128})$/

/** Goes by the names that the wire format of the runtime gives its keys. */
export function streamKeyOf(key: string): StreamKey {
  const companion = COMPANION.exec(key)
  if (companion !== null) {
    const [, of = '', kind, group = ''] = companion
    return { kind: kind === 'dead' ? 'dead' : 'redrive', key, of, group }
  }
  return { kind: 'stream', key, name: STREAM.exec(key)?.[1] ?? '' }
}
