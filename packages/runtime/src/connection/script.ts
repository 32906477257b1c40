import { createHash } from 'node:crypto'
import { troubleOf } from './redis-errors.ts'
import type { Session } from './session.ts'

/**
 * A Lua script. Its source begins with a comment that is its contract: KEYS, ARGV, what it answers.
 * Every script touches one cluster slot.
 */
export interface Script {
  readonly name: string
  readonly source: string
  readonly sha: string
}

export type ScriptArgument = string | number | Buffer

export function defineScript(name: string, source: string): Script {
  // A shebang must be the very first bytes of a script.
  const text = source.trimStart()
  return Object.freeze({ name, source: text, sha: createHash('sha1').update(text).digest('hex') })
}

/**
 * Runs a script by its digest, and by its source where the server does not have it. For callers whose
 * scripts do not depend on the order in which they arrive; the producer sends its own way, because a
 * repeat after NOSCRIPT would overtake its successors.
 */
export async function evaluate(
  session: Session,
  script: Script,
  keys: readonly string[],
  args: readonly ScriptArgument[],
): Promise<unknown> {
  try {
    return await session.client.call('evalsha', script.sha, keys.length, ...keys, ...args)
  } catch (error) {
    if (troubleOf(error) !== 'no-script') throw error
    return await session.client.call('eval', script.source, keys.length, ...keys, ...args)
  }
}
