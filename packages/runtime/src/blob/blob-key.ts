import { randomBytes } from 'node:crypto'

/**
 * The key of a blob: `<namespace>/<day>/<time>-<random>`. The time, in milliseconds since 1970 by the
 * server's clock, is the latest at which an event that refers to the blob can be in the stream. So keys tell
 * by themselves when their blobs may go, and sort by it.
 */
export function newBlobKey(namespace: string, latestMs: number): string {
  const random = randomBytes(16).toString('hex')
  return `${namespace}/${dayOf(latestMs)}/${timeText(latestMs)}-${random}`
}

/** The time in a key; undefined for a key that is none of ours. */
export function latestMsOf(key: string): number | undefined {
  const match = /^[^/]+\/\d{4}-\d\d-\d\d\/(\d{14})-[0-9a-f]{32}$/.exec(key)
  return match?.[1] === undefined ? undefined : Number(match[1])
}

/** The namespace of one event stream: no other stream, on whatever server, has the same. */
export function newNamespace(stream: string): string {
  return `${stream}.${randomBytes(6).toString('hex')}`
}

/** Whether a text can be one; it comes from Redis, and everything below it may be removed. */
export function isNamespace(text: string): boolean {
  return /^[A-Za-z0-9._-]{1,128}\.[0-9a-f]{12}$/.test(text)
}

function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10)
}

/** Of one length for all times, so that keys sort as times do. */
function timeText(ms: number): string {
  return Math.ceil(ms).toFixed(0).padStart(14, '0')
}
