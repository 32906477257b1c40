/** What can be seen of the stream by a poller that is fed by it. */
export interface StreamSigns {
  /** For how long the bridge has not been heard of, in milliseconds; 0 where there is none to be heard of. */
  readonly bridgeSilentMs: number
  /** For how long the consumer has not held its lease, in milliseconds; 0 while it does. */
  readonly consumerIdleMs: number
  /** Why the consumer has stopped for good; '' when it has not. */
  readonly stopped: string
  /** What was lost or begun anew; '' when nothing was. */
  readonly broken: string
}

/** Why the stream cannot be relied on; '' when it can. Pure. */
export function unhealthyReason(signs: StreamSigns, unhealthyAfterMs: number): string {
  if (signs.stopped !== '') return `the consumer has stopped: ${signs.stopped}`
  if (signs.broken !== '') return signs.broken
  if (signs.bridgeSilentMs > unhealthyAfterMs) {
    return Number.isFinite(signs.bridgeSilentMs)
      ? `the bridge has not been heard of for ${Math.round(signs.bridgeSilentMs)} ms`
      : 'the bridge has never been heard of'
  }
  if (signs.consumerIdleMs > unhealthyAfterMs) {
    return `the consumer could not read for ${Math.round(signs.consumerIdleMs)} ms`
  }
  return ''
}
