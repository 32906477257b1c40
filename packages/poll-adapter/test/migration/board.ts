import { waitFor } from '@millrace/testkit'
import type { Millrace, EventStream } from '@millrace/runtime'
import {
  type Bridge,
  createBridge,
  createMigration,
  type Migration,
  type MigrationMode,
  type MigrationState,
  type PollerOptions,
  type Source,
} from '@millrace/poll-adapter'
import { type Clock, systemClock } from '../../src/lifecycle/clock.ts'
import { Poller } from '../../src/migration/poller.ts'
import { flightsOver } from '../flight-kinds.ts'
import { type Flight, FlightSource } from '../flight-source.ts'
import type { Testbed } from '../open-millrace.ts'

/** A poller and a bridge in this process, over an old system. */
export class Board {
  readonly source: FlightSource
  readonly millrace: Millrace
  readonly migration: Migration
  readonly stream: EventStream<Flight | null, Flight | null>
  readonly handled: {
    readonly id: string
    readonly via: 'poll' | 'stream'
    readonly epoch: number
  }[] = []

  private constructor(
    source: FlightSource,
    millrace: Millrace,
    stream: EventStream<Flight | null, Flight | null>,
  ) {
    this.source = source
    this.millrace = millrace
    this.stream = stream
    this.migration = createMigration(millrace, stream)
  }

  static async open(bed: Testbed): Promise<Board> {
    const source = await new FlightSource().listen()
    bed.onClose(() => source[Symbol.asyncDispose]())
    return new Board(source, await bed.open(), bed.stream<Flight | null>())
  }

  bridge(
    flights: Source<Flight> = flightsOver(this.source.url, 'exact'),
  ): Bridge<Flight, Flight | null> {
    return createBridge<Flight, Flight | null>(this.millrace, this.stream, {
      name: 'flights',
      source: flights,
      minIntervalMs: 2,
      maxIntervalMs: 20,
      leaseMs: 600,
    }).start()
  }

  poller(
    options: Partial<PollerOptions<Flight, Flight | null>> = {},
    millrace: Millrace = this.millrace,
    clock: Clock = systemClock,
  ): Poller<Flight, Flight | null> {
    const all: PollerOptions<Flight, Flight | null> = {
      name: 'board',
      bridge: 'flights',
      source: flightsOver(this.source.url, 'exact'),
      handler: (_, { change, via, epoch }) => {
        this.handled.push({ id: change.id, via, epoch })
      },
      intervalMs: 10,
      lookEveryMs: 20,
      leaseMs: 600,
      shadowWindowMs: 400,
      ...options,
    }
    return new Poller<Flight, Flight | null>(millrace, this.stream, all, clock).start()
  }

  async switchTo(to: MigrationState, why = 'test'): Promise<void> {
    await waitFor(async () => (await this.migration.look('board')).capability !== undefined, {
      describe: 'the poller to run',
    })
    const { epoch } = await this.migration.switchTo('board', to, { who: 'ada', why })
    await waitFor(async () => (await this.migration.look('board')).acting.epoch >= epoch, {
      describe: `${to} to be in force`,
    })
  }

  async actsAs(mode: MigrationMode): Promise<void> {
    await waitFor(async () => (await this.migration.look('board')).acting.mode === mode, {
      describe: `the mode ${mode}`,
    })
  }

  /** Until everything that has changed was handled. */
  async settled(): Promise<void> {
    const wanted = this.source.all().map(({ flight, version }) => `${flight}@${version}`)
    await waitFor(
      () => {
        const seen = new Set(this.handled.map(({ id }) => id))
        return wanted.every((id) => seen.has(id))
      },
      { describe: 'all changes to be handled' },
    )
  }
}
