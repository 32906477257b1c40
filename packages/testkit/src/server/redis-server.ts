import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Redis } from 'ioredis'
import { type AdminClients, adminClients } from './admin-client.ts'
import { freePort, LOOPBACK } from './free-port.ts'
import { type GuardedProcess, LaunchError, launch } from './guarded-process.ts'
import { sweepFolder } from './process-guard.ts'
import { redisBinary, type ServerBinary, versionAtLeast } from './server-binary.ts'

/** How {@link startRedis} starts a server. */
export interface StartRedisOptions {
  /** The program; without it, whatever {@link redisBinary} finds on PATH. */
  readonly binary?: ServerBinary
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

/** A private server that ends when it is disposed of, or when this process ends in whatever way. */
export interface RedisServer extends AsyncDisposable {
  readonly url: string
  readonly host: string
  readonly port: number
  /** The process id; another one after {@link restart}. */
  readonly pid: number
  readonly dir: string
  readonly binary: ServerBinary
  /**
   * A connection for the test's own use, named so that {@link expectNoLeaks} does not count it, and
   * closed on disposal. The same one each time; it connects again by itself after a restart.
   */
  client(): Redis
  /** Sends a signal; for one that ends the server, resolves once it has ended. */
  kill(signal: NodeJS.Signals): Promise<void>
  /** Starts it again on the same port and folder, after ending it if it still runs. */
  restart(): Promise<void>
  /** Ends it in the orderly way (SIGTERM). */
  stop(): Promise<void>
}

const READY = /Ready to accept connections/
const READY_TIMEOUT_MS = 20_000
const STOP_TIMEOUT_MS = 5_000
const PORT_DRAWS = 20
const PORT_IS_TAKEN =
  /Address already in use|Failed listening on port|Could not create server TCP listening socket/i
const ENDING_SIGNALS: ReadonlySet<NodeJS.Signals> = new Set([
  'SIGKILL',
  'SIGTERM',
  'SIGINT',
  'SIGQUIT',
  'SIGABRT',
  'SIGSEGV',
])

/** Starts a private server on 127.0.0.1, usually in 10 to 20 ms. */
export async function startRedis(options: StartRedisOptions = {}): Promise<RedisServer> {
  const binary = options.binary ?? (await binaryOnPath())
  const dir = options.dir ?? (await temporaryFolder())
  const clusterBus = options.args?.includes('--cluster-enabled') ?? false
  for (let draw = 1; ; draw += 1) {
    const port = options.port ?? (await freePort({ clusterBus }))
    const server = new PrivateServer(binary, port, dir, options)
    try {
      await server.restart()
      return server
    } catch (error) {
      const taken = error instanceof LaunchError && PORT_IS_TAKEN.test(error.output)
      if (taken && options.port === undefined && draw < PORT_DRAWS) continue
      await server[Symbol.asyncDispose]()
      throw error
    }
  }
}

/** A folder that is removed when this process has ended, if nobody did so before. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-redis-'))
  await sweepFolder(folder)
  return folder
}

async function binaryOnPath(): Promise<ServerBinary> {
  const binary = await redisBinary()
  if (!binary)
    throw new Error('neither redis-server nor valkey-server is on PATH: install one of them')
  return binary
}

class PrivateServer implements RedisServer {
  readonly binary: ServerBinary
  readonly host: string = LOOPBACK
  readonly port: number
  readonly dir: string
  readonly #arguments: readonly string[]
  readonly #removesDir: boolean
  readonly #clients: AdminClients
  #process: GuardedProcess | undefined

  constructor(binary: ServerBinary, port: number, dir: string, options: StartRedisOptions) {
    this.binary = binary
    this.port = port
    this.dir = dir
    this.#arguments = [...binary.args, ...serverArguments(binary, port, dir, options)]
    this.#removesDir = options.dir === undefined
    this.#clients = adminClients({ host: LOOPBACK, port })
  }

  get url(): string {
    return `redis://${this.host}:${this.port}`
  }

  get pid(): number {
    if (!this.#process) throw new Error('the server has not been started')
    return this.#process.pid
  }

  client(): Redis {
    return this.#clients.client()
  }

  async kill(signal: NodeJS.Signals): Promise<void> {
    const running = this.#process
    if (!running) return
    running.signal(signal)
    if (!ENDING_SIGNALS.has(signal)) return
    // A stopped process takes only SIGKILL; it gets the others once it goes on.
    if (signal !== 'SIGKILL') running.signal('SIGCONT')
    await running.exited
  }

  async restart(): Promise<void> {
    await this.kill('SIGKILL')
    this.#process = await launch({
      command: this.binary.command,
      args: this.#arguments,
      cwd: this.dir,
      ready: READY,
      readyTimeoutMs: READY_TIMEOUT_MS,
    })
  }

  async stop(): Promise<void> {
    const running = this.#process
    if (!running) return
    // A master waits for its replicas for ten seconds before it goes: nobody wants that in a test.
    const impatience = setTimeout(() => running.signal('SIGKILL'), STOP_TIMEOUT_MS)
    try {
      await this.kill('SIGTERM')
    } finally {
      clearTimeout(impatience)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#clients.close()
    await this.kill('SIGKILL')
    if (this.#removesDir) await rm(this.dir, { recursive: true, force: true, maxRetries: 3 })
  }
}

function serverArguments(
  binary: ServerBinary,
  port: number,
  dir: string,
  options: StartRedisOptions,
): readonly string[] {
  const address = ['--port', String(port), '--bind', LOOPBACK]
  const data = ['--dir', dir, '--save', '', '--appendonly', options.persistence ? 'yes' : 'no']
  const sync = ['--appendfsync', 'no']
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
