import { LOOPBACK } from './free-port.ts'
import { chosenBinary, type RedisServer, startPrivateServer } from './private-server.ts'
import { type ServerBinary, versionAtLeast } from './server-binary.ts'

/** How {@link startRedis} starts a server. */
export interface StartRedisOptions {
  /** The program; without it, whatever is found on PATH. */
  readonly binary?: ServerBinary | undefined
  /** More arguments, after the testkit's own, so that they win: `['--maxmemory', '10mb']`. */
  readonly args?: readonly string[]
  /**
   * Keep the data over `kill('SIGKILL')` and `restart()`, in an append-only file. It is written at every
   * command and never flushed to the device: this survives the end of the process, for sure and fast,
   * and is no test of a power cut.
   * @defaultValue false
   */
  readonly persistence?: boolean
  /** A fixed port; without it a free one is drawn. */
  readonly port?: number
  /** The data folder, which is then yours to remove; without it a temporary one. */
  readonly dir?: string
}

/** The line with which a server says that it can be used. */
const SERVER_READY = /Ready to accept connections/

/**
 * Starts a private server on 127.0.0.1, usually in 10 to 20 ms. DEBUG and protected CONFIG settings are
 * allowed on it.
 */
export async function startRedis(options: StartRedisOptions = {}): Promise<RedisServer> {
  const binary = await chosenBinary(options.binary)
  return startPrivateServer({
    binary,
    port: options.port,
    dir: options.dir,
    clusterBus: options.args?.includes('--cluster-enabled') ?? false,
    ready: SERVER_READY,
    args: (port, dir) => serverArguments(binary, port, dir, options),
  })
}

function serverArguments(
  binary: ServerBinary,
  port: number,
  dir: string,
  options: StartRedisOptions,
): readonly string[] {
  const address = ['--port', String(port), '--bind', LOOPBACK]
  const data = ['--dir', dir, '--save', '', '--appendonly', options.persistence ? 'yes' : 'no']
  // A master otherwise waits five seconds for more replicas before it serves the first.
  const sync = ['--appendfsync', 'no', '--repl-diskless-sync-delay', '0']
  const refusedByDefault = [
    '--enable-debug-command',
    'local',
    '--enable-protected-configs',
    'local',
  ]
  // Older servers allow these without being asked, and do not know the options.
  const guarded = binary.product === 'valkey' || versionAtLeast(binary.version, '7.0')
  return [
    ...address,
    ...data,
    ...sync,
    ...(guarded ? refusedByDefault : []),
    ...(options.args ?? []),
  ]
}
