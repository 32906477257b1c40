import type { RedisAddress } from '@millrace/runtime'
import { firstNumber } from '../load.ts'
import type { SceneSettings } from './messages.ts'
import { type ProcessName, processNames } from './parts.ts'
import { RoleProcess } from './role-process.ts'

/** What is the same for all processes of a scene. */
export type SharedSettings = Omit<SceneSettings, 'address' | 'firstNumber'>

/** How a process reaches Redis: each has a link of its own where links can fail. */
export type AddressOf = (process: ProcessName) => RedisAddress

interface Scene {
  readonly settings: SharedSettings
  readonly addressOf: AddressOf
}

/** How long a process may take to begin, to become quiet and to end, in milliseconds. */
const ANSWER_MS = 30_000

/** All processes that publish and read. They live from scene to scene, but for those that a fault kills. */
export class Cast implements AsyncDisposable {
  readonly #processes = new Map<ProcessName, RoleProcess>()
  readonly #problems: string[] = []
  readonly #beginning = new Set<Promise<void>>()
  #expired = 0
  #scene: Scene | undefined
  #runs = 0

  /** Starts what does not run and has everyone begin. */
  async begin(settings: SharedSettings, addressOf: AddressOf): Promise<void> {
    this.#scene = { settings, addressOf }
    this.#problems.length = 0
    this.#expired = 0
    // Readers first, so that nobody has a start to catch up with.
    const reading = processNames.filter((name) => name !== 'producer')
    await Promise.all(reading.map((name) => this.#begin(name)))
    await this.#begin('producer')
  }

  /** What went wrong with processes in this scene that nobody had killed. */
  get problems(): readonly string[] {
    return this.#problems
  }

  /** Whose probes of readiness are red, and why. */
  get unwell(): readonly string[] {
    return [...this.#processes.values()].flatMap(({ name, unwell, running }) =>
      running && unwell !== undefined ? [`${name}: ${unwell}`] : [],
    )
  }

  /** Events that had left the stream when they were claimed from a dead member. */
  get expired(): number {
    return this.#expired
  }

  async kill(...names: readonly ProcessName[]): Promise<void> {
    await this.#signal('SIGKILL', names)
  }

  /** The process stands still until {@link Cast.resume}. */
  async stop(...names: readonly ProcessName[]): Promise<void> {
    await this.#signal('SIGSTOP', names)
  }

  async resume(...names: readonly ProcessName[]): Promise<void> {
    await this.#signal('SIGCONT', names)
  }

  /** Forks those that were killed; does not wait until they work. */
  restart(...names: readonly ProcessName[]): void {
    for (const name of names) {
      const begun = this.#begin(name).catch((error: unknown) => this.#note(error))
      this.#beginning.add(begun)
      void begun.then(() => this.#beginning.delete(begun))
    }
  }

  /** Forks whoever is not there and waits until they work. */
  async complete(): Promise<void> {
    await Promise.all(this.#beginning)
    const absent = processNames.filter((name) => this.#processes.get(name)?.running !== true)
    await Promise.all(absent.map((name) => this.#begin(name)))
  }

  /** Stops publishing; answers how many events were refused, by error code. */
  async quiet(): Promise<Readonly<Record<string, number>>> {
    const producer = this.#processes.get('producer')
    return (await this.#answered('producer', producer?.quiet())) ?? {}
  }

  /** Has everyone close what it has; those that cannot are replaced at the next scene. */
  async end(): Promise<void> {
    await Promise.all(
      [...this.#processes].map(async ([name, process]) => {
        try {
          await this.#answered(name, process.end())
        } catch (error) {
          this.#note(error)
          await process.signal('SIGKILL')
        }
      }),
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill(...processNames)
  }

  async #signal(
    signal: 'SIGCONT' | 'SIGKILL' | 'SIGSTOP',
    names: readonly ProcessName[],
  ): Promise<void> {
    const processes = names.flatMap((name) => this.#processes.get(name) ?? [])
    await Promise.all(processes.map((process) => process.signal(signal)))
  }

  async #begin(name: ProcessName): Promise<void> {
    const scene = this.#scene
    if (scene === undefined) throw new Error('there is no scene')
    const known = this.#processes.get(name)
    const process = known?.running === true ? known : this.#fork(name)
    this.#runs += name === 'producer' ? 1 : 0
    const settings = {
      ...scene.settings,
      address: scene.addressOf(name),
      firstNumber: firstNumber(this.#runs),
    }
    await this.#answered(name, process.begin(settings))
  }

  #fork(name: ProcessName): RoleProcess {
    const process = new RoleProcess(name, {
      problem: (text) => this.#note(text),
      expired: (events) => {
        this.#expired += events
      },
    })
    this.#processes.set(name, process)
    return process
  }

  #note(problem: unknown): void {
    const text = problem instanceof Error ? problem.message : String(problem)
    if (!this.#problems.includes(text)) this.#problems.push(text)
  }

  async #answered<T>(name: ProcessName, answer: Promise<T> | undefined): Promise<T | undefined> {
    const late = Promise.withResolvers<never>()
    const timer = setTimeout(() => {
      late.reject(new Error(`${name} did not answer within ${ANSWER_MS} ms`))
    }, ANSWER_MS)
    try {
      return await Promise.race([answer, late.promise])
    } finally {
      clearTimeout(timer)
    }
  }
}
