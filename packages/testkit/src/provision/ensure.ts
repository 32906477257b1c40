import { dockerAnswers } from '../docker/docker-daemon.ts'
import { redisBinary, type ServerBinary } from '../server/server-binary.ts'
import { canInstallPackages, installPackages } from './install-package.ts'

/** How a server can be had on this machine. */
export type RedisAvailability =
  | { readonly source: 'given'; readonly url: string }
  | { readonly source: 'binary'; readonly binary: ServerBinary }
  | { readonly source: 'container' }

/** What {@link ensureRedis} goes by. */
export interface EnsureRedisOptions {
  /** A server that is there already, as the user gave it. */
  readonly url?: string | undefined
  /** Told what is being done, a line at a time, whenever it takes longer than a look. */
  readonly log?: ((line: string) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

const INSTALL_ONE =
  'No Redis here: install redis-server (or valkey-server) so that it is on PATH, or start Docker, or set REDIS_URL to a server you have.'

/**
 * Makes sure that a server can be had, trying in this order: the given address, a program on PATH, a
 * Docker daemon, the system's package manager where that needs no question (Debian and Ubuntu as root).
 * Rejects with one sentence that says what to install.
 */
export async function ensureRedis(options: EnsureRedisOptions = {}): Promise<RedisAvailability> {
  const { url, log = () => {}, signal } = options
  if (url !== undefined && url !== '') return { source: 'given', url }
  const present = await redisBinary()
  if (present) return { source: 'binary', binary: present }
  if (await dockerAnswers()) return { source: 'container' }
  signal?.throwIfAborted()
  if (await canInstallPackages()) {
    log(
      "no redis-server on PATH and no Docker daemon: installing redis-server from the system's packages",
    )
    await installPackages(['redis-server'], { log, signal })
    const installed = await redisBinary()
    if (installed) return { source: 'binary', binary: installed }
  }
  throw new Error(INSTALL_ONE)
}
