/** Something that goes wrong, or somebody deploys. */
export type Disturbance = {
  /** When this share of the events has been published. */
  readonly share: number
} & (
  | { readonly is: 'Redis is killed and started again' }
  | {
      readonly is: 'a process is closed and started again' | 'a process is killed and started again'
      readonly process: number
    }
)

/** At which share of the events Redis is killed: early, because its file grows with every delivery. */
const REDIS_AT = 0.08
/** The last one comes when everything is published, and there is still much to work off. */
const SHARES = [0.04, 0.12, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]
/** Every so many is orderly. */
const ORDERLY_EVERY = 4

/** Each process in turn. */
export function disturbances(processes: number): readonly Disturbance[] {
  const restarts = SHARES.map((share, index): Disturbance => {
    const orderly = index % ORDERLY_EVERY === ORDERLY_EVERY - 1
    return {
      share,
      is: orderly
        ? 'a process is closed and started again'
        : 'a process is killed and started again',
      process: index % processes,
    }
  })
  const redis: Disturbance = { share: REDIS_AT, is: 'Redis is killed and started again' }
  return [...restarts, redis].toSorted((a, b) => a.share - b.share)
}
