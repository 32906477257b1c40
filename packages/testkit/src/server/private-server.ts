import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Redis } from 'ioredis'
import { type AdminClients, adminClients } from './admin-client.ts'
import { freePort, LOOPBACK } from './free-port.ts'
import { type GuardedProcess, LaunchError, launch } from './guarded-process.ts'
import { sweepFolder } from './process-guard.ts'
import { redisBinary, type ServerBinary } from './server-binary.ts'

/** A private server that ends when it is disposed of, or when this process ends in whatever way. */
export interface RedisServer extends AsyncDisposable {
  readonly url: string
  readonly host: string
  readonly port: number
  /** The process id; another one after {@link RedisServer.restart}. */
  readonly pid: number
  /** Whether the process exists; true for one that stands still because of SIGSTOP, too. */
  readonly running: boolean
  readonly dir: string
  readonly binary: ServerBinary
  /**
   * A connection for the test's own use, named so that the leak check does not count it, and closed on
   * disposal. The same one each time; it connects again by itself after a restart.
   */
  client(): Redis
  /** Sends a signal; for one that ends the server, resolves once it has ended. */
  kill(signal: NodeJS.Signals): Promise<void>
  /** Starts it again on the same port and folder, after ending it if it still runs. */
  restart(): Promise<void>
  /** Ends it in the orderly way (SIGTERM), and with SIGKILL if that takes more than five seconds. */
  stop(): Promise<void>
}

/** What distinguishes a standalone server from a sentinel or a cluster node. */
export interface ServerPlan {
  readonly binary: ServerBinary
  readonly port?: number | undefined
  readonly dir?: string | undefined
  /** The port's cluster bus must be free as well. */
  readonly clusterBus: boolean
  readonly ready: RegExp
  /** The server's arguments. Called again when the port was taken and another one was drawn. */
  readonly args: (port: number, dir: string) => readonly string[] | Promise<readonly string[]>
}

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

/** Starts a server on the plan's port, or on free ones until one was really free. */
export async function startPrivateServer(plan: ServerPlan): Promise<RedisServer> {
  const dir = plan.dir ?? (await temporaryFolder())
  const removesDir = plan.dir === undefined
  for (let draw = 1; ; draw += 1) {
    const port = plan.port ?? (await freePort({ clusterBus: plan.clusterBus }))
    const args = [...plan.binary.args, ...(await plan.args(port, dir))]
    const server = new PrivateServer({ ...plan, port, dir, args, removesDir })
    try {
      await server.restart()
      return server
    } catch (error) {
      const taken = error instanceof LaunchError && PORT_IS_TAKEN.test(error.output)
      if (taken && plan.port === undefined && draw < PORT_DRAWS) continue
      await server[Symbol.asyncDispose]()
      throw error
    }
  }
}

/** The given program, else one from PATH. */
export async function chosenBinary(given: ServerBinary | undefined): Promise<ServerBinary> {
  const binary = given ?? (await redisBinary())
  if (binary) return binary
  throw new Error('neither redis-server nor valkey-server is on PATH: install one of them')
}

/** Disposes of everything, whatever fails meanwhile. */
export async function disposeAll(disposables: Iterable<AsyncDisposable>): Promise<void> {
  const ends = Array.from(disposables, (one) => one[Symbol.asyncDispose]())
  const outcomes = await Promise.allSettled(ends)
  const failures = outcomes.flatMap((end) => (end.status === 'rejected' ? [end.reason] : []))
  if (failures.length > 0) throw new AggregateError(failures, 'some servers could not be ended')
}

/** Starts all at the same time; when one fails, ends the others. */
export async function startAll<S extends AsyncDisposable>(
  starts: readonly Promise<S>[],
): Promise<readonly S[]> {
  try {
    return await Promise.all(starts)
  } catch (error) {
    const outcomes = await Promise.allSettled(starts)
    await disposeAll(outcomes.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : [])))
    throw error
  }
}

async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-redis-'))
  await sweepFolder(folder)
  return folder
}

interface ServerShape {
  readonly binary: ServerBinary
  readonly port: number
  readonly dir: string
  readonly removesDir: boolean
  readonly args: readonly string[]
  readonly ready: RegExp
}

class PrivateServer implements RedisServer {
  readonly host: string = LOOPBACK
  readonly #shape: ServerShape
  readonly #clients: AdminClients
  #process: GuardedProcess | undefined

  constructor(shape: ServerShape) {
    this.#shape = shape
    this.#clients = adminClients({ host: LOOPBACK, port: shape.port })
  }

  get binary(): ServerBinary {
    return this.#shape.binary
  }

  get port(): number {
    return this.#shape.port
  }

  get dir(): string {
    return this.#shape.dir
  }

  get url(): string {
    return `redis://${this.host}:${this.port}`
  }

  get pid(): number {
    if (!this.#process) throw new Error('the server has not been started')
    return this.#process.pid
  }

  get running(): boolean {
    return this.#process?.running ?? false
  }

  client(): Redis {
    return this.#clients.client()
  }

  async kill(signal: NodeJS.Signals): Promise<void> {
    const running = this.#process
    if (!running) return
    running.signal(signal)
    if (!ENDING_SIGNALS.has(signal)) return
    // A process that stands still takes only SIGKILL; it gets the others once it goes on.
    if (signal !== 'SIGKILL') running.signal('SIGCONT')
    await running.exited
  }

  async restart(): Promise<void> {
    await this.kill('SIGKILL')
    const { binary, args, dir, ready } = this.#shape
    const { command } = binary
    this.#process = await launch({
      command,
      args,
      cwd: dir,
      ready,
      readyTimeoutMs: READY_TIMEOUT_MS,
    })
  }

  async stop(): Promise<void> {
    const running = this.#process
    if (!running) return
    // A master waits ten seconds for replicas that lag: nobody wants that in a test.
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
    const { dir, removesDir } = this.#shape
    if (removesDir) await rm(dir, { recursive: true, force: true, maxRetries: 3 })
  }
}
