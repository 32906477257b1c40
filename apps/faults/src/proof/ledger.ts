import { journalPath } from '../cast/messages.ts'
import {
  type ProcessName,
  processNames,
  type ReaderName,
  readerNames,
  readerOf,
  readers,
} from '../cast/parts.ts'
import { FlowWatch } from './flow-watch.ts'
import { type JournalEntry, JournalReader } from './journal.ts'

/** Follows the journals of a scene while they grow. */
export class Ledger implements Disposable {
  readonly #journals: readonly (readonly [ProcessName, JournalReader])[]
  readonly #entries = new Map<ProcessName, JournalEntry[]>()
  /** When each reader first handled an event, by number. */
  readonly #handled = perReader(() => new Map<number, number>())
  /** What was accepted and is not yet handled by a reader. */
  readonly #awaited = perReader(() => new Map<number, JournalEntry>())
  readonly #watches = new Set<FlowWatch>()

  constructor(folder: string) {
    this.#journals = processNames.map((name) => [
      name,
      new JournalReader(journalPath(folder, name)),
    ])
  }

  /** Reads what was written since the last time. */
  catchUp(): void {
    for (const [name, journal] of this.#journals) {
      const fresh = journal.read()
      if (fresh.length === 0) continue
      const entries = this.#entries.get(name)
      if (entries === undefined) this.#entries.set(name, fresh)
      else for (const entry of fresh) entries.push(entry)
      const part = readerOf(name)
      if (part === undefined) this.#noteAccepted(fresh)
      else this.#noteHandled(part.reader, fresh)
    }
  }

  /** What a process wrote, in its order. */
  entriesOf(process: ProcessName): readonly JournalEntry[] {
    return this.#entries.get(process) ?? []
  }

  get accepted(): readonly JournalEntry[] {
    return this.entriesOf('producer')
  }

  /** Which of a reader's processes handled an event last. */
  lastHandler(reader: ReaderName): ProcessName | undefined {
    const processes = readers.find((part) => part.reader === reader)?.processes ?? []
    const lastMs = (name: ProcessName): number => this.entriesOf(name).at(-1)?.atMs ?? 0
    return processes
      .filter((name) => lastMs(name) > 0)
      .toSorted((one, other) => lastMs(other) - lastMs(one))[0]
  }

  /** Watches for events that are published from this time on. */
  watchFlow(sinceMs: number): FlowWatch {
    const watch = new FlowWatch(sinceMs, readerNames)
    this.#watches.add(watch)
    return watch
  }

  unwatch(watch: FlowWatch): void {
    this.#watches.delete(watch)
  }

  /** What was accepted until then and lacks at a reader. */
  awaited(untilMs: number): readonly JournalEntry[] {
    const events = new Map<number, JournalEntry>()
    for (const awaited of this.#awaited.values()) {
      for (const [number, event] of awaited) if (event.atMs <= untilMs) events.set(number, event)
    }
    return [...events.values()]
  }

  /** When the last event that was accepted until then had reached its last reader. */
  settledAtMs(untilMs: number): number {
    let latestMs = 0
    for (const { number, atMs } of this.accepted) {
      if (atMs > untilMs) continue
      for (const handled of this.#handled.values())
        latestMs = Math.max(latestMs, handled.get(number) ?? 0)
    }
    return latestMs
  }

  [Symbol.dispose](): void {
    for (const [, journal] of this.#journals) journal[Symbol.dispose]()
  }

  #noteAccepted(entries: readonly JournalEntry[]): void {
    for (const reader of readerNames) {
      const handled = this.#handled.get(reader)
      const awaited = this.#awaited.get(reader)
      for (const event of entries)
        if (handled?.has(event.number) !== true) awaited?.set(event.number, event)
    }
  }

  #noteHandled(reader: ReaderName, entries: readonly JournalEntry[]): void {
    const handled = this.#handled.get(reader)
    const awaited = this.#awaited.get(reader)
    for (const { number, atMs } of entries) {
      awaited?.delete(number)
      handled?.set(number, Math.min(handled.get(number) ?? atMs, atMs))
    }
    for (const watch of this.#watches) watch.see(reader, entries)
  }
}

function perReader<T>(make: () => T): ReadonlyMap<ReaderName, T> {
  return new Map(readerNames.map((name) => [name, make()]))
}
