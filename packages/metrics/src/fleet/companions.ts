import { fieldsOf, listOf, textOf } from './stream-reading.ts'

/** The companion keys of an event stream that the exporter reads, as the runtime's wire format has them. */
export const metaKey = (stream: string): string => `${stream}:meta`
export const stateKey = (stream: string, name: string): string => `${stream}:state:${name}`

/** Who reads: a Consumer, a ConsumerGroup, or a native group that is not Millrace's. */
export type ReaderKind = 'consumer' | 'foreign' | 'group'

/** What `:meta` says. */
export interface StreamMeta {
  /** The greatest age of events; undefined without a bound or a sweep. */
  readonly retentionMs: number | undefined
  /** Consumers and groups of Millrace, by name. */
  readonly kinds: ReadonlyMap<string, ReaderKind>
  /** What expired for native groups of others. */
  readonly foreignExpired: ReadonlyMap<string, number>
}

export function parseMeta(reply: unknown): StreamMeta {
  const kinds = new Map<string, ReaderKind>()
  const foreignExpired = new Map<string, number>()
  let retentionMs: number | undefined
  for (const [field, value] of fieldsOf(reply)) {
    const text = textOf(value)
    if (field.startsWith('name:'))
      kinds.set(field.slice(5), text === 'group' ? 'group' : 'consumer')
    if (field.startsWith('foreign:')) foreignExpired.set(field.slice(8), leading(text, '|'))
    if (field === 'retention') retentionMs = leading(text, ',') || undefined
  }
  return { retentionMs, kinds, foreignExpired }
}

/** One that holds a lease: the holder of a Consumer's name, or a member of a group. */
export interface LeaseHolder {
  readonly token: string
  readonly beat: string
  readonly leaseMs: number
}

/** What `:state:<name>` says. */
export interface ReaderState {
  readonly expired: number
  readonly holders: readonly LeaseHolder[]
}

export const CONSUMER_FIELDS = ['token', 'released', 'beat', 'leaseMs', 'expired'] as const

/** @param reply to `HMGET` of {@link CONSUMER_FIELDS} */
export function parseConsumerState(reply: unknown): ReaderState {
  const [token, released, beat, leaseMs, expired] = listOf(reply).map(textOf)
  const isHeld = token !== undefined && token !== '' && released !== '1'
  const holder = { token: token ?? '', beat: beat ?? '', leaseMs: Number(leaseMs) }
  return { expired: Number(expired ?? 0), holders: isHeld ? [holder] : [] }
}

/** @param reply to `HGETALL` */
export function parseGroupState(reply: unknown): ReaderState {
  const fields = fieldsOf(reply)
  const holders: LeaseHolder[] = []
  for (const [field, value] of fields) {
    if (!field.startsWith('member:')) continue
    const [token = '', beat = '', leaseMs, standing] = textOf(value).split('|', 4)
    if (standing === 'live') holders.push({ token, beat, leaseMs: Number(leaseMs) })
  }
  return { expired: Number(fields.get('expired') ?? 0), holders }
}

function leading(text: string, separator: string): number {
  return Number(text.split(separator, 1)[0])
}
