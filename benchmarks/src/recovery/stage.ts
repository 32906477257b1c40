import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type FaultProxy, type RedisServer, startFaultProxy, startRedis } from '@millrace/testkit'
import type { CompileCache } from '../harness/compile-cache.ts'
import { type ProgramProcess, startProgram } from '../harness/program-process.ts'
import { type TemporaryFolder, temporaryFolder } from '../harness/temporary-folder.ts'
import { readJournal } from '../load/journal.ts'
import { type AcceptedEvent, acceptedIn, type HandledEvent, handledIn } from './flow.ts'
import type { FollowerProgram, FollowTask, SteadySenderProgram } from './program.ts'

export type Follower = ProgramProcess<FollowerProgram>
export type Sender = ProgramProcess<SteadySenderProgram>

export interface FollowerOptions {
  readonly as?: FollowTask['as']
  readonly sameHostTakeover?: boolean
  /** By way of the proxy, so that it can be cut off. */
  readonly proxied?: boolean
}

/** The product's default. */
export const LEASE_MS = 4_000
const PER_SECOND = 100

const followerFile = new URL('../millrace/follow-journaled.ts', import.meta.url)
const senderFile = new URL('../millrace/send-steadily.ts', import.meta.url)

/** A server, the processes around it, and what they have written down; disposal ends all. */
export class Stage implements AsyncDisposable {
  readonly server: RedisServer
  readonly proxy: FaultProxy
  readonly spool: string
  readonly #directory: string
  readonly #compileCache: string
  readonly #disposables = new AsyncDisposableStack()
  #started = 0

  private constructor(
    server: RedisServer,
    proxy: FaultProxy,
    folder: TemporaryFolder,
    compileCache: string,
  ) {
    this.#compileCache = compileCache
    this.server = server
    this.proxy = proxy
    this.#directory = folder.path
    this.spool = join(folder.path, 'spool')
    this.#disposables.use(folder)
    this.#disposables.use(server)
    this.#disposables.use(proxy)
  }

  static async open(compileCache: CompileCache): Promise<Stage> {
    await Promise.all([followerFile, senderFile].map((file) => compileCache.warm(file)))
    const server = await startRedis({ persistence: true })
    const proxy = await startFaultProxy(server)
    return new Stage(server, proxy, await temporaryFolder('recovery'), compileCache.directory)
  }

  async follower(options: FollowerOptions = {}): Promise<Follower> {
    const { as = 'consumer', sameHostTakeover = true, proxied = false } = options
    const follower = this.#disposables.use(
      startProgram<FollowerProgram>(followerFile, {
        compileCache: this.#compileCache,
      }),
    )
    await follower.ask('open', {
      place: this.#place(proxied),
      journal: this.#journal('handled'),
      as,
      leaseMs: LEASE_MS,
      sameHostTakeover,
    })
    return follower
  }

  async sender(options: { readonly spools?: boolean } = {}): Promise<Sender> {
    const sender = this.#disposables.use(
      startProgram<SteadySenderProgram>(senderFile, {
        compileCache: this.#compileCache,
      }),
    )
    await sender.ask('begin', {
      place: this.#place(false),
      perSecond: PER_SECOND,
      // Those of different senders do not meet.
      firstSequence: this.#started * 1_000_000,
      journal: this.#journal('accepted'),
      ...(options.spools === true ? { spool: this.spool } : {}),
    })
    return sender
  }

  async accepted(): Promise<readonly AcceptedEvent[]> {
    return acceptedIn(await this.#journals('accepted'))
  }

  async handled(): Promise<ReadonlyMap<number, HandledEvent>> {
    return handledIn(await this.#journals('handled'))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#disposables.disposeAsync()
  }

  #place(proxied: boolean): { readonly url: string; readonly prefix: string } {
    return { url: proxied ? this.proxy.url : this.server.url, prefix: 'bench:' }
  }

  #journal(kind: 'accepted' | 'handled'): string {
    this.#started += 1
    return join(this.#directory, `${kind}.${this.#started}`)
  }

  async #journals(kind: 'accepted' | 'handled'): Promise<Float64Array[]> {
    const files = (await readdir(this.#directory)).filter((file) => file.startsWith(`${kind}.`))
    return Promise.all(files.map((file) => readJournal(join(this.#directory, file))))
  }
}
