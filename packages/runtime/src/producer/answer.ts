import { fromRedis, isPassing, troubleOf } from '../connection/redis-errors.ts'
import { MillraceError } from '../errors.ts'
import type { PressureWatch } from '../pressure/watch.ts'
import type { Answer, Batch, Placement } from './window.ts'

/** Reads what the append script answered. */
export function answerOf(reply: unknown): Answer {
  const text = String(reply)
  if (text.startsWith('GAP ')) return { kind: 'gap', last: Number(text.slice(4)) }
  if (text === 'CLOSED') return { kind: 'closed' }
  if (text === 'FORGOTTEN') {
    const error = new MillraceError('INTERNAL', 'Redis holds the batch but not its answer any more')
    return { kind: 'refused', reason: text, fatal: error, certain: false }
  }
  return { kind: 'appended', placement: placementOf(text) }
}

/** Reads the error of a call of the append script. */
export function answerOfError(error: unknown): Answer {
  const trouble = troubleOf(error)
  if (trouble === 'disconnected') return { kind: 'lost', reason: trouble }
  const fatal = isPassing(trouble) ? undefined : fromRedis(error)
  // Errors that are known are raised before the script runs; of others, nothing is known for sure.
  return { kind: 'refused', reason: trouble, fatal, certain: trouble !== 'other' }
}

/**
 * What being out of memory means to a producer with this watch: the end of the batch, with one error or
 * another, or one more reason to wait.
 */
export function answerUnderPressure(answer: Answer, watch: PressureWatch): Answer {
  if (answer.kind !== 'refused' || answer.fatal?.code !== 'OUT_OF_MEMORY') return answer
  return { ...answer, fatal: watch.errorOf(answer.fatal) }
}

/** Of an event that is in the stream, but whose id Redis does not know any more. */
export const ELSEWHERE: Placement = { firstId: '-', originals: undefined }

/**
 * Out of memory is one more way of being away, for somebody who spools. And a batch from the spool that
 * Redis has executed is where it belongs, even if Redis has forgotten what it answered: it was never
 * cut differently.
 */
export function answerForSpooling(answer: Answer, batch: Batch<unknown>): Answer {
  if (answer.kind !== 'refused') return answer
  if (answer.reason === 'FORGOTTEN' && batch.answered)
    return { kind: 'appended', placement: ELSEWHERE }
  return answer.reason === 'out-of-memory' ? { ...answer, fatal: undefined } : answer
}

/** Reads the lines of a record: where each batch went, by its first sequence. */
export function placementsOf(lines: string): ReadonlyMap<number, Placement> {
  const placements = new Map<number, Placement>()
  for (const line of lines.split('\n')) {
    const [, first, answer] = /^(\d+) \d+ (.*)$/.exec(line) ?? []
    if (first !== undefined && answer !== undefined)
      placements.set(Number(first), placementOf(answer))
  }
  return placements
}

function placementOf(answer: string): Placement {
  const space = answer.indexOf(' ')
  if (space === -1) return { firstId: answer, originals: undefined }
  const originals = new Map<number, string>()
  for (const part of answer.slice(space + 1).split(' ')) {
    const colon = part.indexOf(':')
    originals.set(Number(part.slice(0, colon)), part.slice(colon + 1))
  }
  return { firstId: answer.slice(0, space), originals }
}

export function forgotten(): MillraceError {
  return new MillraceError(
    'INTERNAL',
    'The event is in the stream, but Redis does not know its id any more',
  )
}

/** Why the window stalled, for diagnostics. */
export function reasonOf(answer: Answer): string {
  switch (answer.kind) {
    case 'appended':
      return 'appended'
    case 'gap':
      return `gap after ${answer.last}`
    case 'closed':
      return 'the epoch was closed'
    case 'refused':
    case 'lost':
      return answer.reason
    default:
      return answer satisfies never
  }
}
