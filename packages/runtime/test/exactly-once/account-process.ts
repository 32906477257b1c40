import { DatabaseSync } from 'node:sqlite'
import { setTimeout as delay } from 'node:timers/promises'
import { channels, connect, defineStream } from '../../src/index.ts'

/**
 * A Consumer or a member of a ConsumerGroup in a process of its own whose effects go to a database, for
 * tests that kill and stop it. Tells when it is ready, and of each lease that it takes over.
 */
export interface AccountProcessOptions {
  readonly url: string
  readonly stream: string
  readonly kind: 'consumer' | 'group'
  readonly leaseMs: number
  /** The database. */
  readonly file: string
  /** The recipe as the page has it; without it, effects are written plainly. */
  readonly recipe: string | undefined
}

/** What the page shows. */
interface Recipe {
  readonly Once: new (
    database: DatabaseSync,
  ) => {
    run(name: string, id: string, effect: () => void, token?: string): boolean
  }
}

const NAME = 'book'
const options = JSON.parse(process.argv[2] ?? '{}') as AccountProcessOptions

// Whoever is stopped in a transaction keeps others waiting, and a synchronous wait keeps them from beating.
const database = new DatabaseSync(options.file, { timeout: 50 })
database.exec('PRAGMA journal_mode = WAL')
const write = database.prepare('INSERT INTO effects (n, attempt) VALUES (?, ?)')
const once = options.recipe === undefined ? undefined : await load(options.recipe, database)

channels.leaseChanged.subscribe(({ change }) => {
  if (change === 'taken-over') process.send?.({ takenOver: true })
})
const millrace = await connect(options.url, { blockMs: 500 })
const stream = defineStream<{ n: number }>(options.stream)
const shared = {
  name: NAME,
  leaseMs: options.leaseMs,
  maxAttempts: 1_000,
  backoff: { firstMs: 5, greatestMs: 50 },
}
const handled = async (
  { id, data }: { readonly id: string; readonly data: { readonly n: number } },
  { attempt, lease }: { readonly attempt: number; readonly lease: { readonly token: string } },
): Promise<void> => {
  // Now and then it is killed or stopped in here, before its effect, or behind it.
  if (data.n % 7 === 0) await delay(1)
  const effect = (): void => {
    write.run(data.n, attempt)
  }
  if (once === undefined) effect()
  else once.run(NAME, id, effect, options.kind === 'consumer' ? lease.token : undefined)
  if (data.n % 7 === 3) await delay(1)
  if (data.n % 97 === 5 && attempt === 1) throw new Error('after its effect')
}
const one =
  options.kind === 'consumer'
    ? millrace.consumer(stream, shared).start(handled)
    : millrace.consumerGroup(stream, { ...shared, concurrency: 4 }).start(handled)
// A standby is ready, too.
void one.ready.then(() => process.send?.({ ready: true }))
one.done.catch((error: unknown) => {
  process.stderr.write(`${String(error)}\n`)
  process.exit(1)
})

async function load(file: string, into: DatabaseSync): Promise<InstanceType<Recipe['Once']>> {
  const { Once } = (await import(file)) as Recipe
  return new Once(into)
}
