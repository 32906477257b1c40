import { type ChildProcess, fork } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import {
  type Order,
  type Report,
  type RoleSettings,
  SETTINGS_VARIABLE,
  type Usage,
} from './messages.ts'

export type RoleName =
  | 'board'
  | 'flight-system'
  | 'poller'
  | 'producer'
  | 'rebooking'
  | 'statistics'

const programs: Readonly<Record<RoleName, URL>> = {
  board: new URL('../roles/board.ts', import.meta.url),
  'flight-system': new URL('../roles/flight-system.ts', import.meta.url),
  poller: new URL('../roles/poller.ts', import.meta.url),
  producer: new URL('../roles/producer.ts', import.meta.url),
  rebooking: new URL('../roles/rebooking.ts', import.meta.url),
  statistics: new URL('../roles/statistics.ts', import.meta.url),
}

/** How long a process may take to end in order, in milliseconds. */
const DRAIN_MS = 15_000

/** One process of the demo, as its parent sees it. */
export class RoleProcess {
  readonly name: string
  readonly pid: number
  /** Resolves when it works; rejects when it ends before. */
  readonly ready: Promise<void>
  /** Resolves when it was told to end, by order or by signal; rejects when it ended by itself otherwise. */
  readonly ended: Promise<void>
  readonly #child: ChildProcess
  readonly #ready = Promise.withResolvers<void>()
  readonly #ended = Promise.withResolvers<void>()
  readonly #onClaimed: (from: string, events: number) => void
  readonly #serving = Promise.withResolvers<string>()
  #usage = Promise.withResolvers<Usage>()
  #status = ''
  #failure: string | undefined
  #killed = false
  #over = false

  constructor(
    role: RoleName,
    settings: RoleSettings,
    onClaimed: (from: string, events: number) => void = () => undefined,
  ) {
    this.name = settings.name
    this.#onClaimed = onClaimed
    this.#child = fork(programs[role], [], {
      env: {
        // Seven processes compile the same files, and the one that is started again is waited for.
        NODE_COMPILE_CACHE: join(tmpdir(), 'node-compile-cache'),
        ...process.env,
        [SETTINGS_VARIABLE]: JSON.stringify(settings),
      },
      // A Ctrl-C reaches the whole process group; only the parent is to decide what it means.
      detached: true,
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    this.pid = this.#child.pid ?? 0
    this.ready = this.#ready.promise
    this.ended = this.#ended.promise
    // Whoever waits for them hears of it; nobody has to.
    this.ready.catch(() => undefined)
    this.ended.catch(() => undefined)
    this.#serving.promise.catch(() => undefined)
    this.#usage.promise.catch(() => undefined)
    this.#listen()
  }

  /** What it last said about its work. */
  get status(): string {
    return this.#status
  }

  get running(): boolean {
    return !this.#over
  }

  /** Whether it was ended with SIGKILL. */
  get killed(): boolean {
    return this.#killed
  }

  /** Where it answers requests, once it does. */
  get serving(): Promise<string> {
    return this.#serving.promise
  }

  /** What it has used by now. */
  usage(): Promise<Usage> {
    this.#usage = Promise.withResolvers<Usage>()
    this.#usage.promise.catch(() => undefined)
    this.#order({ is: 'report-usage' })
    return this.#usage.promise
  }

  /** Lets it begin to publish what it writes. */
  publish(): void {
    this.#order({ is: 'publish' })
  }

  /** Lets it make no more of whatever it makes. */
  stop(): void {
    this.#order({ is: 'stop' })
  }

  /** Sends a signal and, when that ends the process, resolves after its end. */
  async kill(signal: 'SIGKILL' | 'SIGSTOP'): Promise<void> {
    if (signal === 'SIGKILL') this.#killed = true
    this.#child.kill(signal)
    if (signal === 'SIGKILL') await this.ended
  }

  /** Lets it finish what it has begun; kills it when that takes too long. */
  async drain(): Promise<void> {
    if (this.#over) return
    this.#order({ is: 'drain' })
    const impatience = setTimeout(() => {
      this.#failure = `did not end within ${DRAIN_MS / 1_000} s`
      this.#child.kill('SIGKILL')
    }, DRAIN_MS)
    try {
      await this.ended
    } finally {
      clearTimeout(impatience)
    }
  }

  #order(order: Order): void {
    this.#child.send(order, () => undefined)
  }

  #listen(): void {
    const child = this.#child
    const said: string[] = []
    child.on('message', (message) => {
      this.#hear(message as Report)
    })
    if (child.stderr !== null) {
      createInterface({ input: child.stderr }).on('line', (line) => {
        said.push(line)
        if (said.length > 20) said.shift()
      })
    }
    child.once('error', (error) => {
      this.#finish(`could not be started: ${error.message}`)
    })
    child.once('close', (code, signal) => {
      if (this.#killed || code === 0) this.#finish(undefined)
      else {
        const how = signal === null ? `exit code ${String(code)}` : `signal ${signal}`
        this.#finish(this.#failure ?? [`ended with ${how}`, ...said].join('\n  '))
      }
    })
  }

  #hear(report: Report): void {
    switch (report.is) {
      case 'ready':
        this.#ready.resolve()
        return
      case 'status':
        this.#status = report.text
        return
      case 'serving':
        this.#serving.resolve(report.url)
        return
      case 'usage':
        this.#usage.resolve(report.usage)
        return
      case 'claimed':
        this.#onClaimed(report.from, report.events)
        return
      case 'failed':
        this.#failure = report.message
        return
      default:
        report satisfies never
    }
  }

  #finish(problem: string | undefined): void {
    if (this.#over) return
    this.#over = true
    if (problem === undefined) this.#ended.resolve()
    else this.#ended.reject(new Error(`${this.name} ${problem}`))
    const early = new Error(`${this.name} ${problem ?? 'ended before it was ready'}`)
    this.#ready.reject(early)
    this.#serving.reject(early)
    this.#usage.reject(early)
  }
}
