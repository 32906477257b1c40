/** How many events one call hands over. */
export const CHUNK_EVENTS = 500

/**
 * Publishes the events from `from` to `to` in chunks, with several chunks under way, as a producer
 * with much to send does. Chunks are begun in order.
 */
export async function publishAll(
  range: { readonly from: number; readonly to: number; readonly chunksInFlight: number },
  publishChunk: (from: number, to: number) => Promise<void>,
): Promise<void> {
  let next = range.from
  const one = async (): Promise<void> => {
    while (next < range.to) {
      const from = next
      next = Math.min(from + CHUNK_EVENTS, range.to)
      await publishChunk(from, next)
    }
  }
  await Promise.all(Array.from({ length: range.chunksInFlight }, one))
}
