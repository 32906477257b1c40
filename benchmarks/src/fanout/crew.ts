import type { ProgramProcess } from '../harness/program-process.ts'
import { spreadOf } from '../harness/statistics.ts'
import type { ConsumersProgram, Delivered, OpenTask } from './program.ts'
import { startConsumers } from './programs.ts'

/** The processes over which consumers of a stream are spread. */
export class Crew implements AsyncDisposable {
  readonly #processes: readonly ProgramProcess<ConsumersProgram>[]
  readonly #consumersEach: number

  private constructor(processes: number, consumersEach: number) {
    this.#processes = Array.from({ length: processes }, startConsumers)
    this.#consumersEach = consumersEach
  }

  /** @param task what each of the processes opens */
  static async open(processes: number, task: OpenTask): Promise<Crew> {
    const crew = new Crew(processes, task.streams * task.consumersPerStream)
    try {
      await Promise.all(crew.#processes.map((one) => one.ask('open', task)))
      return crew
    } catch (error) {
      await crew[Symbol.asyncDispose]()
      throw error
    }
  }

  async begin(): Promise<void> {
    await Promise.all(this.#processes.map((one) => one.ask('begin', null)))
  }

  /** Resolves when every consumer has got so many events; the percentiles are of all processes together. */
  async delivered(events: number): Promise<Delivered> {
    const each = await Promise.all(
      this.#processes.map((one) => one.ask('delivered', events * this.#consumersEach)),
    )
    const latenciesMs = await Promise.all(this.#processes.map((one) => one.ask('latencies', null)))
    const { p50, p95, p99, max } = spreadOf(latenciesMs.flat())
    const cpuMs = each.reduce((sum, one) => sum + one.cpuMs, 0)
    return { p50Ms: p50, p95Ms: p95, p99Ms: p99, maxMs: max, cpuMs }
  }

  /** After a full garbage collection, of all processes. */
  async heapKiB(): Promise<number> {
    const memories = await Promise.all(this.#processes.map((one) => one.ask('memory', null)))
    return memories.reduce((sum, { heapKiB }) => sum + heapKiB, 0)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#processes.map((one) => one[Symbol.asyncDispose]()))
  }
}
