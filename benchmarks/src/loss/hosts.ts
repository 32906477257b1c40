import { type ProgramProcess, startProgram } from '../harness/program-process.ts'
import type { Place } from '../harness/workbench.ts'
import type { HostProgram } from './program.ts'

export interface HostsPlan {
  readonly place: Place
  readonly directory: string
  readonly consumers: readonly string[]
  readonly groups: readonly string[]
}

const file = new URL('../millrace/host-many.ts', import.meta.url)

/** The processes that hold the readers. */
export class Hosts implements AsyncDisposable {
  readonly #plan: HostsPlan
  readonly #processes: ProgramProcess<HostProgram>[]
  #runs = 0

  private constructor(plan: HostsPlan, processes: number) {
    this.#plan = plan
    this.#processes = Array.from({ length: processes }, () => startProgram<HostProgram>(file))
  }

  static async open(plan: HostsPlan, processes: number): Promise<Hosts> {
    const hosts = new Hosts(plan, processes)
    try {
      await Promise.all(hosts.#processes.map((one, index) => hosts.#begin(one, index)))
      return hosts
    } catch (error) {
      await hosts[Symbol.asyncDispose]()
      throw error
    }
  }

  /** Ends a process and starts another one in its place; resolves when that one handles events. */
  async replace(index: number, how: 'closed' | 'killed'): Promise<void> {
    const before = this.#processes[index]
    if (before === undefined) throw new Error(`there is no process ${index}`)
    if (how === 'closed') await before.ask('close', null)
    else await before.kill('SIGKILL')
    await before[Symbol.asyncDispose]()
    const after = startProgram<HostProgram>(file)
    this.#processes[index] = after
    await this.#begin(after, index)
  }

  /** Closes all readers; no event is handled afterwards. */
  async close(): Promise<void> {
    await Promise.all(this.#processes.map((one) => one.ask('close', null)))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#processes.map((one) => one[Symbol.asyncDispose]()))
  }

  async #begin(process: ProgramProcess<HostProgram>, index: number): Promise<void> {
    const { place, directory, consumers, groups } = this.#plan
    this.#runs += 1
    await process.ask('open', {
      place,
      directory,
      run: this.#runs,
      consumers: consumers.filter((_, at) => at % this.#processes.length === index),
      groups,
    })
  }
}
