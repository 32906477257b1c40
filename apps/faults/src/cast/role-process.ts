import { type ChildProcess, fork } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { NAME_VARIABLE, type Order, type Report, type SceneSettings } from './messages.ts'
import type { ProcessName } from './parts.ts'

/** What a process says that nobody has asked for. */
export interface Listener {
  /** It failed, or ended without being killed. */
  problem(text: string): void
  expired(events: number): void
}

const NOTHING_SAID = 'it has not said yet how it is'

type Answer = 'begun' | 'ended' | 'quiet'

/** Whoever stands still does not notice that the parent has ended. */
const living = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of living) child.kill('SIGKILL')
})

/** One process of the cast, as its parent sees it. */
export class RoleProcess {
  readonly name: ProcessName
  readonly exited: Promise<void>
  readonly #child: ChildProcess
  readonly #listener: Listener
  readonly #exited = Promise.withResolvers<void>()
  readonly #answers = new Map<Answer, PromiseWithResolvers<Report>>()
  #unwell: string | undefined = NOTHING_SAID
  #killed = false
  #over = false

  constructor(name: ProcessName, listener: Listener) {
    this.name = name
    this.#listener = listener
    this.exited = this.#exited.promise
    this.#child = fork(new URL('../roles/role.ts', import.meta.url), [], {
      env: {
        // Ten processes compile the same files, and those that are started again are waited for.
        NODE_COMPILE_CACHE: join(tmpdir(), 'node-compile-cache'),
        ...process.env,
        [NAME_VARIABLE]: name,
      },
      // A Ctrl-C reaches the whole process group; only the parent is to decide what it means.
      detached: true,
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    living.add(this.#child)
    this.#listen()
  }

  get running(): boolean {
    return !this.#over
  }

  /** Why its probe of readiness is red; undefined when it is green. */
  get unwell(): string | undefined {
    return this.#unwell
  }

  /** Resolves when it works; when it is killed before, too. */
  async begin(settings: SceneSettings): Promise<void> {
    this.#unwell = NOTHING_SAID
    await this.#ask({ is: 'begin', settings }, 'begun')
  }

  /** Answers how many events the producer was refused, by error code. */
  async quiet(): Promise<Readonly<Record<string, number>>> {
    const report = await this.#ask({ is: 'quiet' }, 'quiet')
    return report?.is === 'quiet' ? report.refused : {}
  }

  async end(): Promise<void> {
    await this.#ask({ is: 'end' }, 'ended')
  }

  /** Sends a signal; resolves after the process' end when that is what the signal does. */
  async signal(signal: 'SIGCONT' | 'SIGKILL' | 'SIGSTOP'): Promise<void> {
    if (signal === 'SIGKILL') this.#killed = true
    this.#child.kill(signal)
    if (signal === 'SIGKILL') await this.exited
  }

  async #ask(order: Order, answer: Answer): Promise<Report | undefined> {
    if (this.#over) return undefined
    const waiting = Promise.withResolvers<Report>()
    this.#answers.set(answer, waiting)
    this.#child.send(order, () => undefined)
    const exit = this.exited.then(() => undefined)
    return Promise.race([waiting.promise, exit])
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
        if (said.length > 10) said.shift()
      })
    }
    child.once('error', (error) => {
      this.#finish(`could not be started: ${error.message}`)
    })
    child.once('close', (code, signal) => {
      const how = signal === null ? `exit code ${String(code)}` : `signal ${signal}`
      this.#finish([`ended with ${how}`, ...said].join('\n  '))
    })
  }

  #hear(report: Report): void {
    switch (report.is) {
      case 'loaded':
        return
      case 'begun':
      case 'quiet':
      case 'ended':
        this.#answers.get(report.is)?.resolve(report)
        return
      case 'failed':
        this.#listener.problem(`${this.name} ${report.message}`)
        return
      case 'health': {
        const why = report.problems.join('; ')
        this.#unwell = report.ready ? undefined : why
        // A probe of liveness would have it killed, in the middle of what it is to get over by itself.
        if (!report.live) this.#listener.problem(`${this.name} asked for a restart: ${why}`)
        return
      }
      case 'expired':
        this.#listener.expired(report.events)
        return
      default:
        report satisfies never
    }
  }

  #finish(how: string): void {
    if (this.#over) return
    this.#over = true
    living.delete(this.#child)
    if (!this.#killed) this.#listener.problem(`${this.name} ${how}`)
    this.#exited.resolve()
  }
}
