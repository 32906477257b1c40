import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { AnyBed } from '../beds/beds.ts'
import type { Cast } from '../cast/cast.ts'
import { spoolJournalPath } from '../cast/messages.ts'
import { readers } from '../cast/parts.ts'
import { nowMs } from '../clock.ts'
import { LEASE_MS, type Stage, type StageKeys } from '../faults/fault.ts'
import type { FlowWatch } from '../proof/flow-watch.ts'
import { type Account, type Excuse, excuseFor } from '../proof/judge.ts'
import { type JournalEntry, JournalReader } from '../proof/journal.ts'
import { Ledger } from '../proof/ledger.ts'
import { numbersIn } from './stored-numbers.ts'

export interface SceneOptions {
  /** Distinguishes the scenes of one run. */
  readonly number: number
  readonly eventsPerSecond: number
  readonly elsewhere: boolean
  /** The producer has a spool. */
  readonly spools: boolean
  readonly signal: AbortSignal
}

const LOOK_EVERY_MS = 25
/** How long the first events may take to reach everyone. */
const OPENING_MS = 30_000
/** How long nothing may arrive anywhere, once nothing more is published, until the rest counts as lost. */
const STANDSTILL_MS = 30_000
/** How long a machine that does other work as well may take to hand over the rest. */
const LONGEST_SETTLING_MS = 300_000

/** One piece of load with keys and journals of its own. */
export class Scene implements AsyncDisposable {
  readonly bed: AnyBed
  readonly cast: Cast
  readonly keys: StageKeys
  readonly ledger: Ledger
  readonly excuses: Excuse[] = []
  readonly #options: SceneOptions
  readonly #prefix: string
  readonly #folder: string
  #refused: Readonly<Record<string, number>> = {}
  #spooled: number | undefined

  private constructor(bed: AnyBed, cast: Cast, options: SceneOptions, folder: string) {
    this.bed = bed
    this.cast = cast
    this.#options = options
    this.#folder = folder
    this.#prefix = `faults-${options.number}:`
    this.keys = keysOf(this.#prefix, streamName(options))
    this.ledger = new Ledger(folder)
  }

  /** Begins to publish and to read, and resolves when events flow to everyone. */
  static async open(bed: AnyBed, cast: Cast, options: SceneOptions): Promise<Scene> {
    const folder = await mkdtemp(join(tmpdir(), 'millrace-faults-'))
    const scene = new Scene(bed, cast, options, folder)
    try {
      await scene.#begin()
      return scene
    } catch (error) {
      await scene[Symbol.asyncDispose]()
      throw error
    }
  }

  /** What went wrong with processes that nobody had killed. */
  get problems(): readonly string[] {
    return this.cast.problems
  }

  /** How many events the producer was refused in the end, by error code. */
  get refused(): Readonly<Record<string, number>> {
    return this.#refused
  }

  /** How many events were accepted by the spool; undefined without one. */
  get spooled(): number | undefined {
    return this.#spooled
  }

  stage(afterwards: AsyncDisposableStack): Stage {
    const { cast, keys, ledger } = this
    const handler = (reader: 'billing' | 'board' | 'ledger' | 'mail') => {
      ledger.catchUp()
      const name = ledger.lastHandler(reader)
      if (name === undefined) throw new Error(`nobody has handled anything for ${reader}`)
      return name
    }
    return {
      cast,
      keys,
      afterwards,
      signal: this.#options.signal,
      holder: handler,
      member: handler,
      pause: (ms) => this.pause(ms),
    }
  }

  async pause(ms: number): Promise<void> {
    await delay(ms, undefined, { signal: this.#options.signal })
  }

  /** Waits for new events to reach everyone, and answers what came of it. */
  async flowing(sinceMs: number, limitMs: number): Promise<FlowWatch> {
    const watch = this.ledger.watchFlow(sinceMs)
    try {
      await this.#until(() => watch.tookMs !== undefined, limitMs)
      // Another process may have been earlier, and is only read next.
      this.ledger.catchUp()
    } finally {
      this.ledger.unwatch(watch)
    }
    return watch
  }

  /** Waits until everybody's probe of readiness is green; false when one does not become so. */
  async well(limitMs: number): Promise<boolean> {
    return this.#until(() => this.cast.unwell.length === 0, limitMs)
  }

  /**
   * Waits until everything accepted before has reached everyone, but for what a fault may have taken
   * out of the stream; false when it does not.
   */
  async settled(untilMs: number, limitMs: number): Promise<boolean> {
    const isDue = (event: JournalEntry): boolean => excuseFor(event, this.excuses) === undefined
    return this.#until(() => !this.ledger.awaited(untilMs).some(isDue), limitMs)
  }

  /** Publishes no more, waits for everything to arrive, closes everything, and draws up the account. */
  async close(): Promise<Account> {
    this.#refused = await this.cast.quiet()
    const master = await this.bed.masterOf(this.keys.stream)
    const stored = await numbersIn(master, this.keys.stream)
    const known = new Set(stored)
    const isDue = ({ number }: JournalEntry): boolean => known.has(number)
    await this.#settleAll(isDue)
    await this.cast.end()
    this.ledger.catchUp()
    if (this.#options.spools) this.#spooled = this.#readSpooled()
    return this.#account(stored)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.ledger[Symbol.dispose]()
    await rm(this.#folder, { recursive: true, force: true })
  }

  #readSpooled(): number {
    using journal = new JournalReader(spoolJournalPath(this.#folder))
    return journal.read().length
  }

  async #begin(): Promise<void> {
    const { number, eventsPerSecond, elsewhere, spools } = this.#options
    await this.cast.begin(
      {
        prefix: this.#prefix,
        stream: streamName(this.#options),
        folder: this.#folder,
        eventsPerSecond,
        leaseMs: LEASE_MS,
        sameHostTakeover: !elsewhere,
        spools,
      },
      (name) => this.bed.addressOf(name),
    )
    const { waitingFor } = await this.flowing(nowMs(), OPENING_MS)
    if (waitingFor.length === 0) return
    const why = this.cast.problems.join('; ')
    throw new Error(`in scene ${number} no event reached ${waitingFor.join(', ')}: ${why}`)
  }

  async #account(stored: readonly number[]): Promise<Account> {
    const master = await this.bed.masterOf(this.keys.stream)
    const accounts = readers.map(async ({ reader, order, processes }) => ({
      reader,
      order,
      deliveries: processes.map((name) => this.ledger.entriesOf(name)),
      deadLettered: new Set(await numbersIn(master, this.keys.dead(reader))),
    }))
    return {
      accepted: this.ledger.accepted,
      readers: await Promise.all(accounts),
      stored,
      excuses: this.excuses,
      inOrderOverRuns: this.#options.spools,
    }
  }

  /** Late is not lost: it is waited for as long as anything arrives. */
  async #settleAll(isDue: (event: JournalEntry) => boolean): Promise<void> {
    const endMs = nowMs() + LONGEST_SETTLING_MS
    const due = (): number => this.ledger.awaited(nowMs()).filter(isDue).length
    for (let left = due(); left > 0 && nowMs() < endMs; left = due()) {
      const before = left
      if (!(await this.#until(() => due() < before, STANDSTILL_MS))) return
    }
  }

  async #until(condition: () => boolean, limitMs: number): Promise<boolean> {
    const endMs = nowMs() + limitMs
    for (;;) {
      this.ledger.catchUp()
      if (condition()) return true
      if (nowMs() >= endMs) return false
      await this.pause(LOOK_EVERY_MS)
    }
  }
}

/** In a cluster another name is another slot, so that scenes come to lie on all nodes. */
function streamName({ number }: SceneOptions): string {
  return `beats-${number}`
}

/** As `docs/wire-format.md` has them. */
function keysOf(prefix: string, name: string): StageKeys {
  const stream = `${prefix}{${name}}${name}`
  return {
    stream,
    meta: `${stream}:meta`,
    producers: `${stream}:producers`,
    state: (reader) => `${stream}:state:${reader}`,
    dead: (reader) => `${stream}:dead:${reader}`,
  }
}
