import { createHash } from 'node:crypto'

/** A strong ETag: equal for equal bytes, in every process. */
export function etagOf(body: string): string {
  return `"${createHash('sha256').update(body).digest('base64url').slice(0, 27)}"`
}

/** Whether `If-None-Match` names this ETag (compared weakly, as RFC 9110 says for it). */
export function matchesEtag(ifNoneMatch: string | null, etag: string): boolean {
  if (ifNoneMatch === null) return false
  if (ifNoneMatch.trim() === '*') return true
  const listed = ifNoneMatch.match(/(?:W\/)?"[^"]*"/g) ?? []
  return listed.some((one) => one.replace(/^W\//, '') === etag.replace(/^W\//, ''))
}
