import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as delay } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { waitFor } from '@millrace/testkit'
import { defineStream, type EventStream } from '../../src/index.ts'
import { blocksOf, page, root } from '../docs/pages.ts'
import { range, type Reading, useRedis } from '../open-millrace.ts'
import { seededRandom } from '../producer/programs/seeded-random.ts'
import type { AccountProcessOptions } from './account-process.ts'

// The recipe is the one of docs/exactly-once.md, as it stands there.

const bed = useRedis()
/** Ignored by git, and not under node_modules, where Node does not strip types. */
const folder = `${root}/packages/runtime/.cache/exactly-once-${process.pid}`
const recipe = `${folder}/once.ts`

beforeAll(() => {
  mkdirSync(folder, { recursive: true })
  const block = blocksOf(page('docs/exactly-once.md')).find(({ file }) => file === 'once.ts')
  expect(block).toBeDefined()
  writeFileSync(recipe, block?.text ?? '')
})
afterAll(() => {
  rmSync(folder, { recursive: true, force: true })
})

type Kind = AccountProcessOptions['kind']
type Settings = Omit<AccountProcessOptions, 'url'>

const LEASE_MS = 800
const MOST_STOPPED_MS = 6 * LEASE_MS
const PROCESSES = 2

/** A database as a user would have it, where every effect leaves a row. */
class Account implements Disposable {
  readonly file: string
  readonly #dir: string
  readonly #database: DatabaseSync

  constructor() {
    this.#dir = mkdtempSync(join(tmpdir(), 'millrace-account-'))
    this.file = join(this.#dir, 'account.db')
    this.#database = new DatabaseSync(this.file, { timeout: 10_000 })
    this.#database.exec('PRAGMA journal_mode = WAL')
    this.#database.exec(
      'CREATE TABLE effects (row INTEGER PRIMARY KEY, n INTEGER, attempt INTEGER)',
    )
  }

  /** The numbers of events whose effects are there, in the order in which they happened. */
  effects(): number[] {
    return this.#database
      .prepare('SELECT n FROM effects ORDER BY row')
      .all()
      .map((row) => Number(row['n']))
  }

  [Symbol.dispose](): void {
    this.#database.close()
    rmSync(this.#dir, { recursive: true, force: true })
  }
}

/** Processes that are killed and stopped at any moment, and others in their place. */
class Company {
  takeovers = 0
  readonly #settings: Settings
  readonly #children: ChildProcess[] = []

  constructor(settings: Settings) {
    this.#settings = settings
    bed.onClose(() => this.end())
  }

  async start(): Promise<void> {
    const options: AccountProcessOptions = { url: bed.server.url, ...this.#settings }
    const child = fork(new URL('account-process.ts', import.meta.url), [JSON.stringify(options)], {
      execArgv: ['--conditions=millrace-source'],
    })
    this.#children.push(child)
    const ready = Promise.withResolvers<void>()
    child.on('message', (message) => {
      if ('takenOver' in Object(message)) this.takeovers++
      else ready.resolve()
    })
    child.once('exit', () => {
      ready.resolve()
    })
    await ready.promise
  }

  /** kill -9 of the one that has been there longest, which is the holder, or of another one. */
  async kill(random: () => number): Promise<void> {
    const [victim] = this.#children.splice(random() < 0.7 ? 0 : this.#children.length - 1, 1)
    if (victim === undefined) return
    const exited = once(victim, 'exit')
    victim.kill('SIGKILL')
    await exited
  }

  /**
   * It stands still until somebody else has its lease, and wakes up as if nothing had happened. Where it stands
   * still in a transaction, the others can do nothing, and have no room for what it held, until it goes on.
   */
  async stopForLong(): Promise<void> {
    const [victim] = this.#children
    const before = this.takeovers
    victim?.kill('SIGSTOP')
    const untilMs = performance.now() + MOST_STOPPED_MS
    await waitFor(() => this.takeovers > before || performance.now() > untilMs, {
      describe: 'somebody else to take over, or the time to be over',
    })
    victim?.kill('SIGCONT')
  }

  async end(): Promise<void> {
    while (this.#children.length > 0) await this.kill(() => 0)
  }
}

/** Publishes at some rate until it is told to stop; answers how many there were. */
async function publishing(
  stream: EventStream<Reading, Reading>,
  signal: AbortSignal,
): Promise<number> {
  const millrace = await bed.open()
  let n = 0
  while (!signal.aborted) {
    await millrace.publish(
      stream,
      range(10, n).map((one) => ({ n: one })),
    )
    n += 10
    await delay(10)
  }
  return n
}

/** Lets processes die and stand still under load until `enough`, and answers the effects that all had. */
async function effectsOf(
  settings: Omit<Settings, 'file' | 'leaseMs' | 'stream'>,
  enough: (kills: number, effects: readonly number[]) => boolean,
): Promise<{
  readonly published: number
  readonly effects: readonly number[]
  readonly takeovers: number
}> {
  const seed = Date.now() % 100_000
  const random = seededRandom(seed)
  console.log(`${settings.kind}: kills by seed ${seed}`)
  const stream = bed.stream()
  using account = new Account()
  const company = new Company({
    ...settings,
    stream: stream.name,
    file: account.file,
    leaseMs: LEASE_MS,
  })
  for (const _ of range(PROCESSES)) await company.start()
  const stop = new AbortController()
  const publishes = publishing(stream, stop.signal)
  // A failure here is told below, unless another one comes first.
  publishes.catch(() => undefined)
  for (let kills = 1; ; kills++) {
    // At any moment is what this is about.
    await delay(20 + random() * 200)
    if (kills % 4 === 0) await company.stopForLong()
    else {
      await company.kill(random)
      await company.start()
    }
    if (enough(kills, account.effects())) break
  }
  stop.abort()
  const published = await publishes
  await waitFor(() => new Set(account.effects()).size === published, {
    describe: 'the effects of all events',
    timeoutMs: 30_000,
  })
  const { takeovers } = company
  await company.end()
  return { published, effects: account.effects(), takeovers }
}

const KILLS = 12

describe.each<Kind>(['consumer', 'group'])(
  'The effects of a %s whose processes die at any moment',
  (kind) => {
    it('happen once with the recipe', { timeout: 120_000 }, async () => {
      const url = pathToFileURL(recipe).href
      const { published, effects, takeovers } = await effectsOf(
        { kind, recipe: url },
        (kills) => kills >= KILLS,
      )
      expect(published).toBeGreaterThan(500)
      expect(takeovers).toBeGreaterThan(0)
      expect(effects.toSorted((a, b) => a - b)).toEqual(range(published))
      // A group has no order.
      if (kind === 'consumer') expect(effects).toEqual(range(published))
    })

    it('happen more than once without it', { timeout: 120_000 }, async () => {
      const { published, effects } = await effectsOf(
        { kind, recipe: undefined },
        (_kills, so) => new Set(so).size < so.length,
      )
      expect(new Set(effects).size).toBe(published)
      expect(effects.length).toBeGreaterThan(published)
    })
  },
)

describe('The recipe', () => {
  it('keeps a process whose successor has begun from writing, and rolls back what fails', async () => {
    const { Once } = (await import(pathToFileURL(recipe).href)) as {
      readonly Once: new (
        database: DatabaseSync,
      ) => {
        run(name: string, id: string, effect: () => void, token?: string): boolean
      }
    }
    const database = new DatabaseSync(':memory:')
    const recipeOf = new Once(database)
    const ran: string[] = []
    const run = (id: string, token?: string): boolean =>
      recipeOf.run('book', id, () => ran.push(`${id} by ${token ?? 'anybody'}`), token)
    expect(run('1-0', '5-a')).toBe(true)
    expect(run('1-0', '5-a')).toBe(false)
    expect(run('2-0', '6-b')).toBe(true)
    expect(() => run('3-0', '5-a')).toThrow('Another process has taken over')
    expect(run('3-0', '6-b')).toBe(true)
    expect(run('4-0')).toBe(true)
    expect(ran).toEqual(['1-0 by 5-a', '2-0 by 6-b', '3-0 by 6-b', '4-0 by anybody'])
    const failing = (): never => {
      throw new Error('no room')
    }
    expect(() => recipeOf.run('book', '5-0', failing, '7-c')).toThrow('no room')
    // Neither the event nor the holder was noted.
    expect(run('5-0', '6-b')).toBe(true)
    database.close()
  })

  it('reads the number of a token as it is given to handlers', async () => {
    const millrace = await bed.open()
    const stream = defineStream<Reading>('tokens')
    const token = Promise.withResolvers<string>()
    millrace.consumer(stream, { name: 'book' }).start((_event, { lease }) => {
      token.resolve(lease.token)
    })
    await millrace.publish(stream, { n: 1 })
    expect(Number.parseInt(await token.promise, 10)).toBeGreaterThan(1_000_000_000_000)
  })
})
