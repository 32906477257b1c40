import { type JournalEntry, JournalReader } from './journal.ts'
import { Published } from './published.ts'
import { type OrderedBy, Tally } from './tally.ts'

type Listener = (entry: JournalEntry, processName: string) => void

interface Book {
  readonly reader: JournalReader
  readonly take: (entry: JournalEntry) => void
}

/** Holds the journals of all processes against each other, while they grow and at the end. */
export class Ledger {
  readonly published: Published = new Published()
  readonly #tallies = new Map<string, Tally>()
  readonly #books: Book[] = []
  readonly #listeners: Listener[] = []

  addConsumer(consumer: string, orderedBy: OrderedBy): Tally {
    const tally = new Tally(orderedBy)
    this.#tallies.set(consumer, tally)
    return tally
  }

  get consumers(): ReadonlyMap<string, Tally> {
    return this.#tallies
  }

  /** Reads what the producer publishes. */
  followProducer(path: string): void {
    this.#follow(path, (entry) => {
      this.published.add(entry)
    })
  }

  /** Reads what a process of a consumer handles; a successor's journal comes after its predecessor's. */
  followConsumer(path: string, consumer: string, processName: string): void {
    const tally = this.#tallies.get(consumer)
    if (tally === undefined) throw new Error(`there is no consumer ${consumer}`)
    this.#follow(path, (entry) => {
      tally.add(entry, processName)
      for (const see of this.#listeners) see(entry, processName)
    })
  }

  /** Tells of every event that is handled from now on. */
  onHandled(listener: Listener): void {
    this.#listeners.push(listener)
  }

  /** Takes in what the journals have gained. */
  read(): void {
    for (const { reader, take } of this.#books) for (const entry of reader.read()) take(entry)
  }

  close(): void {
    for (const { reader } of this.#books) reader.close()
  }

  #follow(path: string, take: (entry: JournalEntry) => void): void {
    this.#books.push({ reader: new JournalReader(path), take })
  }
}
