import { optionProblems } from '../lifecycle/options.ts'

/** Whether and from which size on payloads are kept in a blob store instead of the stream. */
export interface ClaimCheckOptions {
  /**
   * Payloads that encode to more bytes than this are stored in the blob store of the connection, and so is
   * any that would make its event larger than `limits.maxPayloadBytes`. Lower: less memory in Redis, and two
   * more round trips for each event above it.
   * @defaultValue `limits.maxPayloadBytes`
   */
  readonly aboveBytes?: number
  /**
   * The greatest size of a payload in the store, in bytes, at publish and on read: a handler has the whole
   * payload in memory.
   * @defaultValue 268_435_456 (256 MiB)
   */
  readonly maxBytes?: number
}

/** {@link ClaimCheckOptions}, all there. */
export interface ClaimCheck {
  readonly aboveBytes: number
  readonly maxBytes: number
}

/** The greatest size of a payload elsewhere, for streams that say nothing else. */
export const MOST_CLAIM_BYTES: number = 256 * 1024 * 1024
/** A text of more characters than about this does not exist in V8. */
const LARGEST_CLAIM_BYTES = 512 * 1024 * 1024

export function claimCheckProblems(options: unknown, maxPayloadBytes: number): string[] {
  if (options === undefined) return []
  if (typeof options !== 'object' || options === null) return ['claimCheck must be an object']
  return optionProblems(
    options,
    {
      aboveBytes: (v) =>
        isBytes(v, maxPayloadBytes) ||
        `must be a whole number of bytes from 0 to limits.maxPayloadBytes (${maxPayloadBytes})`,
      maxBytes: (v) =>
        isBytes(v, LARGEST_CLAIM_BYTES) ||
        `must be a whole number of bytes up to ${LARGEST_CLAIM_BYTES}`,
    },
    'claimCheck.',
  )
}

export function resolveClaimCheck(
  options: ClaimCheckOptions | undefined,
  maxPayloadBytes: number,
): ClaimCheck | undefined {
  if (options === undefined) return undefined
  return Object.freeze({
    aboveBytes: options.aboveBytes ?? maxPayloadBytes,
    maxBytes: options.maxBytes ?? MOST_CLAIM_BYTES,
  })
}

function isBytes(value: unknown, most: number): boolean {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= most
}
