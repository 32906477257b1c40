import { ADMIN_CONNECTION_NAME } from './server/admin-client.ts'
import type { RedisServer } from './server/private-server.ts'
import { waitFor } from './wait-for.ts'

/** How {@link expectNoLeaks} looks. */
export interface LeakCheckOptions {
  /**
   * How long connections may take to close, in milliseconds: a server learns of a closed connection a moment
   * after the client closed it. Only a leak waits so long, so choose it for slow machines.
   * @defaultValue 15_000
   */
  readonly closingMs?: number
}

const DEFAULTS = Object.freeze({ closingMs: 15_000 })

/**
 * Rejects, naming them, when the server still has connections of clients other than the testkit's own:
 * what was under test has been closed and left one open. Connections of replicas, masters and sentinels
 * do not count. For `afterEach` or `afterAll`, before the server is disposed of.
 */
export async function expectNoLeaks(
  server: Pick<RedisServer, 'client' | 'url'>,
  options: LeakCheckOptions = {},
): Promise<void> {
  const { closingMs } = { ...DEFAULTS, ...options }
  let left: readonly string[] = []
  try {
    await waitFor(
      async () => {
        left = leftovers(String(await server.client().client('LIST')))
        return left.length === 0
      },
      { describe: 'the connections to close', timeoutMs: closingMs },
    )
  } catch (error) {
    if (left.length === 0) throw error
    throw new Error(
      `${left.length} connections were left open on ${server.url}:\n${left.join('\n')}`,
      {
        cause: error,
      },
    )
  }
}

function leftovers(list: string): readonly string[] {
  return list
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => new Map(line.split(' ').map(field)))
    .filter(isForeign)
    .map(
      (client) =>
        `  ${client.get('name') || '(no name)'} from ${client.get('addr')}, last command ${client.get('cmd')}`,
    )
}

function isForeign(client: ReadonlyMap<string, string>): boolean {
  const name = client.get('name') ?? ''
  // M and S: the link to a master or a replica.
  const isReplication = /[MS]/.test(client.get('flags') ?? '')
  return name !== ADMIN_CONNECTION_NAME && !isReplication && !/^sentinel-[0-9a-f]+-/.test(name)
}

function field(text: string): readonly [string, string] {
  const equals = text.indexOf('=')
  return [text.slice(0, equals), text.slice(equals + 1)]
}
