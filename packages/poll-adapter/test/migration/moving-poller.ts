import { readFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { waitFor } from '@millrace/testkit'
import { createMigration, type Migration, type MigrationState } from '@millrace/poll-adapter'
import { type Child, startChild } from '../child.ts'
import type { Kind } from '../flight-kinds.ts'
import { type Flight, FlightSource } from '../flight-source.ts'
import type { Testbed } from '../open-millrace.ts'

/** One line of what was handled, in the order in which it was. */
export interface HandledLine {
  readonly key: string
  readonly version: number
  readonly via: string
  readonly epoch: number
  readonly pid: string
}

/** A poller that two processes run, a bridge in two more, and an old system that goes on changing. */
export class MovingPoller {
  readonly source: FlightSource
  readonly migration: Migration
  readonly pollers: Child<string>[] = []
  readonly bridges: Child<string>[] = []
  readonly stream: string
  readonly #bed: Testbed
  readonly #kind: Kind
  readonly #file: string
  readonly #stop = new AbortController()
  #load: Promise<void> = Promise.resolve()

  private constructor(
    bed: Testbed,
    kind: Kind,
    source: FlightSource,
    migration: Migration,
    stream: string,
    file: string,
  ) {
    this.#bed = bed
    this.#kind = kind
    this.#file = file
    this.source = source
    this.migration = migration
    this.stream = stream
  }

  static async start(bed: Testbed, kind: Kind): Promise<MovingPoller> {
    const source = await new FlightSource().listen()
    bed.onClose(() => source[Symbol.asyncDispose]())
    const directory = mkdtempSync(join(tmpdir(), 'millrace-poller-'))
    bed.onClose(() => {
      rmSync(directory, { recursive: true })
    })
    const file = join(directory, 'handled')
    writeFileSync(file, '')
    const stream = bed.stream<Flight | null>()
    const migration = createMigration(await bed.open(), stream)
    const moving = new MovingPoller(bed, kind, source, migration, stream.name, file)
    bed.onClose(() => moving.stopLoad())
    for (let i = 0; i < 2; i++) {
      moving.bridges.push(moving.startBridge())
      moving.pollers.push(moving.startPoller())
    }
    return moving
  }

  startPoller(): Child<string> {
    return this.#child('poller.ts', [this.#file])
  }

  startBridge(): Child<string> {
    return this.#child('bridge.ts', [])
  }

  /** Changes flights without end, so many a second. */
  startLoad(perSecond: number): void {
    this.#load = this.#changeWithoutEnd(perSecond)
  }

  async stopLoad(): Promise<void> {
    this.#stop.abort()
    await this.#load
  }

  /** Switches, and waits until some process acts accordingly. */
  async switchTo(
    state: MigrationState,
    during: () => Promise<void> | void = () => undefined,
  ): Promise<void> {
    const { epoch } = await this.migration.switchTo('board', state, { who: 'test', why: 'round' })
    await during()
    await waitFor(
      async () => {
        const { acting } = await this.migration.look('board')
        return acting.epoch >= epoch
      },
      { describe: `${state} to be in force (epoch ${epoch})`, timeoutMs: 120_000 },
    ).catch(async (error: unknown) => {
      throw new Error(
        `${String(error)} ${JSON.stringify(await this.migration.look('board'))} ${this.complaints.slice(-5).join('; ')}`,
      )
    })
  }

  handled(): HandledLine[] {
    const lines = readFileSync(this.#file, 'utf8').split('\n').slice(0, -1)
    return lines.map((line) => {
      const [key = '', version, via = '', epoch, pid = ''] = line.split(' ')
      return { key, version: Number(version), via, epoch: Number(epoch), pid }
    })
  }

  /** What the processes told of errors, those that have ended included. */
  readonly complaints: string[] = []

  #child(program: string, more: readonly string[]): Child<string> {
    const args = [this.#bed.server.url, this.source.url, this.stream, this.#kind, ...more]
    const child = startChild<string>(program, args)
    child.process.on('message', (message: string) => {
      if (message !== 'ready') this.complaints.push(message)
    })
    this.#bed.onClose(() => child.end())
    return child
  }

  async #changeWithoutEnd(perSecond: number): Promise<void> {
    const startedMs = performance.now()
    for (let n = 0; !this.#stop.signal.aborted; n++) {
      // Numbers go up by two, so that there is room for one that comes late.
      this.source.change(`LX${n % 11}`, this.source.lastSeq + 2)
      if (this.#kind === 'overlap' && n % 20 === 19) {
        this.source.change(`late-${n}`, this.source.lastSeq - 5)
      }
      const aheadMs = startedMs + ((n + 1) * 1_000) / perSecond - performance.now()
      if (aheadMs > 1)
        await delay(aheadMs, undefined, { signal: this.#stop.signal }).catch(() => undefined)
    }
  }
}

export interface Account {
  readonly lost: readonly string[]
  readonly outOfOrder: readonly string[]
  readonly repeated: number
  readonly events: number
}

/** What became of every change. */
export function accountFor(all: readonly Flight[], handled: readonly HandledLine[]): Account {
  const seen = new Set<string>()
  const newest = new Map<string, number>()
  const outOfOrder: string[] = []
  let repeated = 0
  for (const { key, version } of handled) {
    const id = `${key}@${version}`
    const before = newest.get(key) ?? 0
    if (seen.has(id)) repeated += 1
    else if (version < before) outOfOrder.push(id)
    seen.add(id)
    newest.set(key, Math.max(before, version))
  }
  const lost = all
    .map(({ flight, version }) => `${flight}@${version}`)
    .filter((id) => !seen.has(id))
  return { lost, outOfOrder, repeated, events: all.length }
}
