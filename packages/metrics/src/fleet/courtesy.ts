import type { Command } from './node.ts'

/**
 * What commands take of Redis, roughly, in microseconds: as measured on one core of 2024, with streams of 60
 * events and 5 groups. It only has to tell what takes long from what does not.
 */
const MICROS: Readonly<Record<string, number>> = {
  eval_ro: 150,
  evalsha_ro: 150,
  scan: 150,
  xinfo: 25,
  xpending: 10,
}
const MICROS_OF_OTHERS = 5

export function expectedMicros([name]: Command): number {
  return MICROS[name] ?? MICROS_OF_OTHERS
}

/** Of the figures of a stream, with its groups and their consumers. */
export function microsOfFigures(groupsAndConsumers: number): number {
  return 5 + 2 * groupsAndConsumers
}

/**
 * What may be sent at once, in order. Redis runs what it finds on a connection in one go, and all other clients
 * wait meanwhile, so a lot is no longer than they may wait; a command that takes longer goes alone.
 */
export function* lotsOf(
  micros: readonly number[],
  mostMicros: number,
): Generator<{ readonly from: number; readonly to: number }> {
  let from = 0
  let sum = 0
  for (const [index, own] of micros.entries()) {
    if (index > from && sum + own > mostMicros) {
      yield { from, to: index }
      from = index
      sum = 0
    }
    sum += own
  }
  if (from < micros.length) yield { from, to: micros.length }
}
