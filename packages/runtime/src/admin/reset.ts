import { evaluate } from '../connection/script.ts'
import type { Core, StreamLike } from '../core.ts'
import { MillraceError } from '../errors.ts'
import { newNonce } from '../lease/token.ts'
import { lookTwice } from '../retention/look-twice.ts'
import { startArgument } from '../stream/start-position.ts'
import { compareIds } from '../stream/stream-id.ts'
import { countEvents } from './count-events.ts'
import { absent } from './missing.ts'
import type { ResolvedResetOptions } from './options.ts'
import { resetScript } from './reset-script.ts'

export interface ResetReport {
  readonly dryRun: boolean
  readonly name: string
  readonly kind: 'consumer' | 'group'
  /** Everything at or before this id was processed, or handed out by a group. */
  readonly from: string
  /** Everything at or before this id counts as processed now. */
  readonly to: string
  /** How many events between the two will be handled again. */
  readonly again: number
  /** How many events between the two will not be handled, as far as they were not handled before. */
  readonly skipped: number
  /** How many events were pending in a group. */
  readonly pending: number
}

/** @throws MillraceError `NAME_IN_USE`, `STATE_INVALID` */
export async function resetReader(
  core: Core,
  stream: StreamLike,
  name: string,
  { to, pending, dryRun, signal }: ResolvedResetOptions,
): Promise<ResetReport> {
  const keys = core.keysOf(stream)
  const facts = { stream: stream.name, name }
  const nonce = newNonce()
  const look = (seen: string): Promise<readonly unknown[]> =>
    core.connections.call(
      'data',
      keys.tag,
      (session) =>
        evaluate(
          session,
          resetScript,
          [keys.stream, keys.meta, keys.state(name)],
          [name, seen, startArgument(to), pending, dryRun ? '1' : '', nonce],
        ),
      { signal },
    ) as Promise<readonly unknown[]>
  const reply = (await lookTwice(core, look, signal, 'Resetting')).map(String)
  switch (reply[0]) {
    case 'OK':
      break
    case 'HELD':
      throw new MillraceError('NAME_IN_USE', `${name} is at work; close it, then reset it`, facts)
    case 'PENDING':
      throw new MillraceError(
        'STATE_INVALID',
        `${reply[1] ?? ''} events are pending in ${name}; say what becomes of them: pending 'keep' or 'discard'`,
        facts,
      )
    default:
      throw absent(reply[0] === 'NONE' ? undefined : name, stream.name)
  }
  const [, kind, from = '', position = '', held] = reply
  const back = compareIds(position, from) < 0
  const between = await countEvents(
    core,
    keys,
    `(${back ? position : from}`,
    back ? from : position,
    signal,
  )
  return {
    dryRun,
    name,
    kind: kind === 'group' ? 'group' : 'consumer',
    from,
    to: position,
    again: back ? between : 0,
    skipped: back ? 0 : between,
    pending: Number(held),
  }
}
