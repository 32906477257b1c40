import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { type RoleName, RoleProcess } from './processes/role-process.ts'
import type { Ledger } from './proof/ledger.ts'
import type { OrderedBy } from './proof/tally.ts'

export const BOARD = 'departures-board'
export const STATISTICS = 'delay-statistics'
export const REBOOKING = 'rebooking'
export const WORKERS: readonly string[] = ['worker-1', 'worker-2', 'worker-3', 'worker-4']

/** Who consumes, and in which order events have to reach it. */
export const consumers: readonly { readonly name: string; readonly orderedBy: OrderedBy }[] = [
  { name: BOARD, orderedBy: 'stream' },
  { name: STATISTICS, orderedBy: 'stream' },
  { name: REBOOKING, orderedBy: 'member' },
]

/** What the processes of one run have in common. */
export interface CastSettings {
  readonly redisUrl: string
  readonly prefix: string
  /** Where the journals lie. */
  readonly folder: string
  readonly seconds: number
  readonly eventsPerSecond: number
  /** The flight system's database. */
  readonly tablePath: string
}

/** The processes of one run, and their journals. */
export class Cast {
  /** Never resolves; rejects when a process ends that should not have. */
  readonly trouble: Promise<never>
  readonly #settings: CastSettings
  readonly #ledger: Ledger
  readonly #onClaimed: (from: string, events: number) => void
  readonly #trouble = Promise.withResolvers<never>()
  readonly #processes: RoleProcess[] = []

  constructor(
    settings: CastSettings,
    ledger: Ledger,
    onClaimed: (from: string, events: number) => void,
  ) {
    this.#settings = settings
    this.#ledger = ledger
    this.#onClaimed = onClaimed
    this.trouble = this.#trouble.promise
    this.trouble.catch(() => undefined)
  }

  get processes(): readonly RoleProcess[] {
    return this.#processes
  }

  startProducer(): RoleProcess {
    const journalPath = this.#newJournal('producer')
    this.#ledger.followProducer(journalPath)
    return this.#start('producer', 'producer', '', journalPath)
  }

  /** @param name the process's own name; a successor of a dead one has another */
  startConsumer(role: RoleName, consumer: string, name: string): RoleProcess {
    const journalPath = this.#newJournal(name)
    this.#ledger.followConsumer(journalPath, consumer, name)
    return this.#start(role, name, consumer, journalPath)
  }

  /** Writes flights into its table, and answers the old API. */
  startFlightSystem(): RoleProcess {
    const journalPath = this.#newJournal('flight-system')
    this.#ledger.followProducer(journalPath)
    return this.#start('flight-system', 'flight-system', '', journalPath)
  }

  /** A service that polls the old API. */
  startPoller(name: string, apiUrl: string): RoleProcess {
    const journalPath = this.#newJournal(`${name}-poller`)
    this.#ledger.followConsumer(journalPath, name, name)
    return this.#start('poller', name, name, journalPath, apiUrl)
  }

  /** Lets all that still run finish what they have begun. */
  async drain(): Promise<void> {
    await Promise.all(this.#processes.map((one) => one.drain()))
  }

  /** Ends at once whatever still runs. */
  async kill(): Promise<void> {
    await Promise.allSettled(this.#processes.map((one) => one.kill('SIGKILL')))
  }

  #start(
    role: RoleName,
    name: string,
    consumer: string,
    journalPath: string,
    apiUrl = '',
  ): RoleProcess {
    const { redisUrl, prefix, seconds, eventsPerSecond, tablePath } = this.#settings
    const started = new RoleProcess(
      role,
      {
        name,
        consumer,
        redisUrl,
        prefix,
        journalPath,
        seconds,
        eventsPerSecond,
        tablePath,
        apiUrl,
      },
      this.#onClaimed,
    )
    started.ended.catch((error: unknown) => {
      this.#trouble.reject(error)
    })
    this.#processes.push(started)
    return started
  }

  #newJournal(name: string): string {
    const path = join(this.#settings.folder, `${name}.journal`)
    closeSync(openSync(path, 'wx'))
    return path
  }
}
