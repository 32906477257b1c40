import type { DeadLetterReason } from '../delivery/dead-letter-fields.ts'
import { channels } from '../diagnostics.ts'
import { messageOf, MillraceError } from '../errors.ts'
import type { Entry } from './backlog.ts'
import { moveToDeadLetters } from './dead-letter-script.ts'
import type { TenureEnd, TenureScope } from './tenure-scope.ts'

/**
 * Moves an event of a tenure to the dead letters. Answers why the tenure has to end, or undefined when
 * the event is settled.
 */
export async function moveEntry<Data>(
  { core, keys, options, streamName: stream }: TenureScope<Data>,
  token: string,
  { id, attempts }: Entry<Data>,
  reason: DeadLetterReason,
  error: string,
): Promise<TenureEnd | undefined> {
  const { name, maxDeadLetters: cap } = options
  const request = { name, token, id, reason, attempts, error, cap }
  try {
    const outcome = await core.connections.call('data', keys.tag, (session) =>
      moveToDeadLetters(session, keys, request),
    )
    if (outcome === 'lost') return { why: 'lost', detail: 'another holder took over' }
    if (outcome === 'full') return deadLettersFull({ stream, name, cap })
    if (outcome === 'ok') {
      channels.deadLettered.publish({ stream, name, id, reason, attempts, error, redriven: false })
    }
    return undefined
  } catch (failure) {
    // The event stays where it is, and is tried again with the next tenure.
    return { why: 'resync', detail: messageOf(failure) }
  }
}

/** How a tenure ends that could not move an event because of too many before it. */
export function deadLettersFull(facts: {
  readonly stream: string
  readonly name: string
  readonly cap: number
}): TenureEnd {
  const text = `Consumer ${facts.name} stopped: ${facts.cap} dead letters lie there already`
  return { why: 'stopped', error: new MillraceError('DEAD_LETTER_FULL', text, facts) }
}
