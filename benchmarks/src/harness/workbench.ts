import { provideRedis, type ProvidedRedis } from '@millrace/testkit'
import { Redis } from 'ioredis'
import type { Findings } from './report.ts'

/** Where one variant keeps its keys. */
export interface Place {
  readonly url: string
  readonly prefix: string
}

/** A benchmark: its header states what it claims and how each figure is defined. */
export interface Benchmark {
  readonly name: string
  /** One line for `--help`. */
  readonly summary: string
  /** Which options of the command line mean something to it, and the policies that it knows. */
  readonly takes?: {
    readonly minutes?: true
    readonly policies?: readonly string[]
    readonly fullGrid?: true
    readonly writeUsual?: true
    readonly postgres?: true
  }
  run(bench: Workbench): Promise<Findings>
}

export interface WorkbenchOptions {
  readonly quick: boolean
  /** How long to measure, where somebody wants it otherwise than usual. */
  readonly minutes: number | undefined
  /** What to measure; everything when empty. */
  readonly policies: readonly string[]
  /** Every cell of a grid, not only those that say something. */
  readonly fullGrid: boolean
  /** Whether limits are to be made from what is measured. */
  readonly writeUsual: boolean
  /** The URL of a database to compare with, where somebody gave one. */
  readonly postgres: string | undefined
  readonly tell: (line: string) => void
}

/** The server of the run, which is private because it is emptied again and again. */
export class Workbench implements AsyncDisposable {
  readonly quick: boolean
  readonly minutes: number | undefined
  readonly policies: readonly string[]
  readonly fullGrid: boolean
  readonly writeUsual: boolean
  readonly postgres: string | undefined
  readonly tell: (line: string) => void
  readonly #server: ProvidedRedis
  readonly #admin: Redis
  #places = 0

  private constructor(server: ProvidedRedis, options: WorkbenchOptions) {
    this.#server = server
    this.#admin = new Redis(server.url, { connectionName: 'benchmark-admin' })
    this.quick = options.quick
    this.minutes = options.minutes
    this.policies = options.policies
    this.fullGrid = options.fullGrid
    this.writeUsual = options.writeUsual
    this.postgres = options.postgres
    this.tell = options.tell
  }

  static async open(options: WorkbenchOptions): Promise<Workbench> {
    return new Workbench(await provideRedis({ log: options.tell }), options)
  }

  get serverVersion(): string {
    return this.#server.version
  }

  /** Another prefix on the same server, with what is there left in place. */
  place(): Place {
    this.#places += 1
    return { url: this.#server.url, prefix: `b${this.#places}:` }
  }

  /** Another prefix on an empty server. */
  async emptyPlace(): Promise<Place> {
    await this.#admin.flushall('SYNC')
    return this.place()
  }

  /** The CPU time that the server has used so far, in milliseconds, as the operating system counts it. */
  async serverCpuMs(): Promise<number> {
    const info = await this.#admin.info('cpu')
    return (secondsIn(info, 'used_cpu_sys') + secondsIn(info, 'used_cpu_user')) * 1_000
  }

  /** How many connections the server has besides the benchmark's own. */
  async connections(): Promise<number> {
    const list = String(await this.#admin.client('LIST'))
    return list.split('\n').filter((line) => line !== '' && !line.includes('name=benchmark-'))
      .length
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#admin.disconnect()
    await this.#server[Symbol.asyncDispose]()
  }
}

function secondsIn(info: string, field: string): number {
  const text = new RegExp(`^${field}:([0-9.]+)`, 'm').exec(info)?.[1]
  if (text === undefined) throw new Error(`the server's INFO has no ${field}`)
  return Number(text)
}
