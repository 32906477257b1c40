/** An event that a producer was promised. */
export interface AcceptedEvent {
  readonly sequence: number
  readonly sentUs: number
}

/** When an event was handled for the first time. */
export interface HandledEvent extends AcceptedEvent {
  readonly handledUs: number
}

/** The records of some journals with two numbers each. */
export function acceptedIn(journals: readonly Float64Array[]): readonly AcceptedEvent[] {
  return journals.flatMap((journal) =>
    recordsOf(journal, 2).map(([sequence = 0, sentUs = 0]) => ({ sequence, sentUs })),
  )
}

/** The records of some journals with three numbers each; of repeated events only the first. */
export function handledIn(journals: readonly Float64Array[]): ReadonlyMap<number, HandledEvent> {
  const handled = new Map<number, HandledEvent>()
  for (const journal of journals) {
    for (const [sequence = 0, sentUs = 0, handledUs = 0] of recordsOf(journal, 3)) {
      const before = handled.get(sequence)
      if (before === undefined || before.handledUs > handledUs)
        handled.set(sequence, { sequence, sentUs, handledUs })
    }
  }
  return handled
}

/** Accepted events that nobody has handled. */
export function missing(
  accepted: readonly AcceptedEvent[],
  handled: ReadonlyMap<number, HandledEvent>,
): readonly number[] {
  return accepted.flatMap(({ sequence }) => (handled.has(sequence) ? [] : [sequence]))
}

/**
 * When the flow was as before: an event that was sent after `fromUs` has been handled, and every one that
 * was sent before. Undefined while no later event has been handled.
 */
export function resumedUs(handled: Iterable<HandledEvent>, fromUs: number): number | undefined {
  let firstAfter = Infinity
  let lastBefore = 0
  for (const { sentUs, handledUs } of handled) {
    if (sentUs > fromUs) firstAfter = Math.min(firstAfter, handledUs)
    else lastBefore = Math.max(lastBefore, handledUs)
  }
  return firstAfter === Infinity ? undefined : Math.max(firstAfter, lastBefore)
}

/**
 * How long events waited for their handler, by when they were sent: the greatest of each fifth of a
 * second, in seconds from `fromUs`.
 */
export function waitsOver(
  handled: Iterable<HandledEvent>,
  fromUs: number,
): readonly (readonly [seconds: number, value: number])[] {
  const greatest = new Map<number, number>()
  for (const { sentUs, handledUs } of handled) {
    const fifth = Math.floor((sentUs - fromUs) / 200_000)
    greatest.set(fifth, Math.max(greatest.get(fifth) ?? 0, (handledUs - sentUs) / 1e6))
  }
  return [...greatest]
    .toSorted(([a], [b]) => a - b)
    .map(([fifth, seconds]) => [fifth / 5, Number(seconds.toFixed(3))])
}

function recordsOf(journal: Float64Array, numbers: number): readonly number[][] {
  return Array.from({ length: Math.floor(journal.length / numbers) }, (_, index) =>
    Array.from(journal.subarray(index * numbers, (index + 1) * numbers)),
  )
}
