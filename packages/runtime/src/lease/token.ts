import { randomBytes } from 'node:crypto'

/**
 * A fencing token: `<counter>-<nonce>`. The counter is given by the server and only rises, so tokens
 * of one name order in time; the nonce makes a token unique even if Redis lost the counter. A Consumer's
 * starts at the server's time in milliseconds, so that it rises even then.
 */
export interface Fence {
  readonly token: string
  readonly counter: number
  readonly nonce: string
}

/** The random part of a token: 16 bytes as hex. */
export function newNonce(): string {
  return randomBytes(16).toString('hex')
}

export function fenceOf(counter: number, nonce: string): Fence {
  return { token: `${counter}-${nonce}`, counter, nonce }
}
