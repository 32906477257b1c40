import { evaluate } from '../connection/script.ts'
import type { Core, StreamLike } from '../core.ts'
import { MillraceError } from '../errors.ts'
import { boolean, abortSignal, optionProblems, throwProblems } from '../lifecycle/options.ts'
import { assertName } from '../stream/keys.ts'
import { lookTwice } from './look-twice.ts'
import { removeScript } from './remove-script.ts'

export interface RemoveOptions {
  /**
   * Whether its dead letters, and what of them is on its way back, are removed as well.
   * @defaultValue false
   */
  readonly discardDeadLetters?: boolean
  readonly signal?: AbortSignal
}

/**
 * Removes everything that Redis keeps about a consumer or consumer group; answers false when there was
 * nothing. Where somebody holds the name, it waits for one lease to see whether that one is alive.
 * @param silentSinceMs its last sign of life by the server's clock: if there is a later one, it stays
 * @throws MillraceError `NAME_IN_USE` when it is, or when the name is of the other kind
 */
export async function removeReader(
  core: Core,
  stream: StreamLike,
  name: string,
  kind: 'consumer' | 'group',
  options: RemoveOptions = {},
  silentSinceMs?: number,
): Promise<boolean> {
  assertName('The name', name)
  throwProblems(
    'Removing',
    optionProblems(options, { discardDeadLetters: boolean, signal: abortSignal }),
  )
  const { signal } = options
  const keys = core.keysOf(stream)
  const what = kind === 'consumer' ? 'Consumer' : 'Consumer group'
  const facts = { stream: stream.name, name }
  const look = async (seen: string): Promise<string[]> => {
    const reply = (await core.connections.call(
      'data',
      keys.tag,
      (session) =>
        evaluate(
          session,
          removeScript,
          [keys.stream, keys.meta, keys.state(name), keys.dead(name), keys.redrive(name)],
          [name, kind, seen, options.discardDeadLetters === true ? '1' : '', silentSinceMs ?? ''],
        ),
      { signal },
    )) as unknown[]
    return reply.map(String)
  }
  const [outcome, seen] = (await lookTwice(core, look, signal, 'Removing')).map(String)
  if (outcome === 'HELD') {
    throw new MillraceError('NAME_IN_USE', `${what} ${name} is at work; close it first`, facts)
  }
  if (outcome === 'KIND') {
    throw new MillraceError('NAME_IN_USE', `${name} is a ${seen ?? ''}, not a ${kind}`, facts)
  }
  return outcome === 'OK'
}
