/** How pressed a stream is; what makes it so is in {@link Pressure.causes}. */
export type PressureLevel = 'critical' | 'high' | 'normal'

/** What is measured; `outOfMemory` means that Redis has refused to store an event. */
export type PressureCause = 'lagEvents' | 'lagMs' | 'memory' | 'outOfMemory'

/** The pressure that a producer's stream is under, as it last heard. */
export interface Pressure {
  readonly level: PressureLevel
  /** What is above its watermarks; empty when the level is `normal`. */
  readonly causes: readonly PressureCause[]
  /** Undefined as long as nothing is known, which is for ever if no pressure is watched for. */
  readonly figures: PressureFigures | undefined
}

/** What Redis told about the stream and itself at one moment. */
export interface PressureFigures {
  /** Events in the stream. */
  readonly length: number
  /** The consumer or consumer group with the most events before it; undefined when nobody counts. */
  readonly slowest: string | undefined
  /** Events that it has not processed. */
  readonly lagEvents: number
  /** Whether that number is certain; it is an estimate after deletions or losses. */
  readonly isLagKnown: boolean
  /** The age of the oldest event that somebody has not processed, in milliseconds by the server's clock. */
  readonly lagMs: number
  /** The memory that counts against the limit; undefined where it cannot be read or there is no limit. */
  readonly memory: { readonly usedBytes: number; readonly maxBytes: number } | undefined
}

/** What is known before anything was heard. */
export const NO_PRESSURE: Pressure = Object.freeze({
  level: 'normal',
  causes: Object.freeze([]),
  figures: undefined,
})
