const UNKNOWN_SIZE_BYTES = 1_024

/** About how much memory the data takes. */
export function sizeOf(data: unknown): number {
  try {
    return JSON.stringify(data)?.length ?? 0
  } catch {
    // What JSON cannot say (cycles, big integers) comes from codecs of the owner's.
    return UNKNOWN_SIZE_BYTES
  }
}
