import type { Redis } from 'ioredis'
import { flightEventAt } from '../load/flight-event.ts'

/** Two at a time, so that neither side waits for the other. */
export const PIPELINES_IN_FLIGHT = 2

/**
 * The floor of publishing: what a careful person writes by hand with ioredis. Pipelines of XADDs, one for
 * each chunk; no validation, no identity, no trimming.
 */
export async function appendByPipeline(
  redis: Redis,
  key: string,
  from: number,
  to: number,
): Promise<void> {
  const pipeline = redis.pipeline()
  for (let i = from; i < to; i++) pipeline.xadd(key, '*', 'data', JSON.stringify(flightEventAt(i)))
  const replies = (await pipeline.exec()) ?? []
  for (const [error] of replies) if (error !== null) throw error
}
