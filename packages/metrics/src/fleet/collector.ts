import { Details } from './details.ts'
import { Discovery } from './discovery.ts'
import { COUNTED_FAILURES } from './failure.ts'
import { expectedMicros, microsOfFigures } from './courtesy.ts'
import { detailsOf } from './stream-details.ts'
import { isAnother } from './lag.ts'
import { measureLags } from './lags.ts'
import { StreamMemory } from './memory.ts'
import type { Command, FleetNode, Meter, Reply } from './node.ts'
import { type Nodes, nodesOf } from './nodes.ts'
import type { CompanionKey, ReadStream } from './read-stream.ts'
import type { ResolvedFleetOptions } from './options.ts'
import type { FleetSnapshot, NodeSnapshot } from './snapshot.ts'
import { type StreamKey, streamKeyOf } from './stream-key.ts'
import { listOf, parseStream, type StreamReading, textOf } from './stream-reading.ts'
import { LARGE_ENTRY_BYTES, leanStreamCommand, streamCommand } from './stream-command.ts'
import { streamSnapshot } from './stream-snapshot.ts'

/** An event stream's key, as far as it belongs into labels of its own. */
type EventStreamKey = Exclude<StreamKey, CompanionKey>

/**
 * Reads a whole Redis once per scrape, at a bounded cost: one command for each stream, and with what is left
 * of the budget counting and details. Remembers between scrapes what lag, verdicts and details follow from.
 */
export class Collector {
  readonly #options: ResolvedFleetOptions
  readonly #nodes: Nodes
  readonly #discoveries = new Map<FleetNode, Discovery>()
  readonly #details = new Details()
  #memories = new Map<string, StreamMemory>()
  readonly #errors: Record<string, number>
  readonly #meter: Meter = { commands: 0 }

  constructor(options: ResolvedFleetOptions) {
    this.#options = options
    const { address, clientName, maxBusyMicros } = options
    this.#nodes = nodesOf(address, { clientName, maxBusyMicros, meter: this.#meter })
    this.#errors = Object.fromEntries(COUNTED_FAILURES.map((kind) => [kind, 0]))
  }

  /** Whether all keys have been looked at since the start. */
  get hasFoundAll(): boolean {
    const known = this.#nodes.all.map((node) => this.#discoveries.get(node))
    return known.length > 0 && known.every((discovery) => discovery?.isComplete === true)
  }

  close(): void {
    this.#nodes.close()
  }

  /** Never rejects: what could not be read is missing, and counted. Not to be called twice at once. */
  async collect(): Promise<FleetSnapshot> {
    const { maxCommands, deadlineMs, bounds } = this.#options
    const startedMs = performance.now()
    const signal = AbortSignal.timeout(deadlineMs)
    this.#meter.commands = 0

    this.#note(await this.#nodes.refresh(signal))
    // One that does not answer must not take the time of the others.
    const soon = AbortSignal.any([signal, AbortSignal.timeout(Math.ceil(deadlineMs / 3))])
    const nodes = await Promise.all(this.#nodes.all.map((node) => this.#lookAt(node, soon)))
    const up = nodes.filter(({ snapshot }) => snapshot.isUp)
    const clocks = new Map(up.map(({ node, nowMs }) => [node, nowMs]))
    const { watched, skipped, companions } = this.#watched()
    const streams = await this.#readStreams(watched, clocks, signal)

    const budget = {
      commands: Math.floor((maxCommands - this.#meter.commands) / 2),
      events: this.#options.maxCountedEvents,
    }
    const insideScripts = await measureLags(streams, budget, signal, this.#note)
    this.#meter.commands += insideScripts
    // Twice, because what a stream says of itself tells what else there is to read.
    let detailsAgeMs = 0
    for (let pass = 1; pass <= 2; pass++) {
      const details = streams.flatMap((one) => detailsOf(one, companions.get(one.key) ?? []))
      const left = maxCommands - this.#meter.commands
      detailsAgeMs = await this.#details.read(details, left, startedMs, signal, this.#note)
    }

    const shown = streams.map((stream) => streamSnapshot(stream, startedMs, bounds))
    return {
      db: this.#nodes.db,
      nodes: nodes.map(({ snapshot }) => snapshot),
      streams: shown,
      skippedStreams: skipped,
      skippedGroups: shown.reduce(
        (sum, stream) => sum + stream.groupCount - stream.groups.length,
        0,
      ),
      commands: this.#meter.commands,
      durationMs: performance.now() - startedMs,
      detailsAgeMs,
      errors: { ...this.#errors },
    }
  }

  readonly #note = (reply: Reply | undefined): void => {
    if (reply?.failure === undefined || this.#errors[reply.failure] === undefined) return
    this.#errors[reply.failure] = (this.#errors[reply.failure] ?? 0) + 1
  }

  /** What every scrape asks a server, and some steps of looking for streams. */
  async #lookAt(
    node: FleetNode,
    signal: AbortSignal,
  ): Promise<{ node: FleetNode; nowMs: number; snapshot: NodeSnapshot }> {
    const [time, info] = await node.run([['time'], ['info', 'memory']], signal)
    const [seconds, micros] = listOf(time?.value)
    this.#note(time)
    this.#note(info)
    const text = textOf(info?.value)
    let isUp = time?.failure === undefined
    if (isUp) {
      const failed = await this.#discovery(node).step(
        performance.now(),
        this.#scansPerScrape(),
        signal,
      )
      this.#note(failed)
      isUp = failed === undefined
    }
    return {
      node,
      nowMs: Number(seconds) * 1_000 + Number(micros) / 1_000,
      snapshot: {
        name: node.name,
        isUp,
        memoryUsedBytes: figureOf(text, 'used_memory'),
        memoryLimitBytes: figureOf(text, 'maxmemory'),
      },
    }
  }

  /** A part of what is left beside the streams, so that the rest has its share. */
  #scansPerScrape(): number {
    const { maxCommands, maxStreams } = this.#options
    const part = Math.floor((maxCommands - maxStreams) / 4 / Math.max(this.#nodes.all.length, 1))
    return Math.max(part, 1)
  }

  #discovery(node: FleetNode): Discovery {
    let discovery = this.#discoveries.get(node)
    if (discovery === undefined) {
      discovery = new Discovery(node, this.#options.discoverEveryMs)
      this.#discoveries.set(node, discovery)
    }
    return discovery
  }

  #watched(): {
    readonly watched: readonly EventStreamKey[]
    readonly skipped: number
    readonly companions: ReadonlyMap<string, readonly CompanionKey[]>
  } {
    const keys = new Set<string>()
    for (const node of this.#discoveries.keys()) {
      if (!this.#nodes.all.includes(node)) this.#discoveries.delete(node)
    }
    for (const node of this.#nodes.all) {
      for (const key of this.#discoveries.get(node)?.keys ?? []) keys.add(key)
    }
    const found = [...keys].toSorted().map(streamKeyOf)
    const streams = found.filter((key) => key.kind === 'stream')
    const watched = streams.filter(({ key }) => this.#options.isWatched(key))
    const companions = found.filter((key) => key.kind !== 'stream')
    return {
      watched: watched.slice(0, this.#options.maxStreams),
      skipped: Math.max(watched.length - this.#options.maxStreams, 0),
      companions: Map.groupBy(companions, ({ of }) => of),
    }
  }

  async #readStreams(
    keys: readonly EventStreamKey[],
    clocks: ReadonlyMap<FleetNode, number>,
    signal: AbortSignal,
  ): Promise<readonly ReadStream[]> {
    const readings = new Map<string, { reading: StreamReading; node: FleetNode }>()
    const moved = await this.#readInto(readings, keys, clocks, signal)
    if (moved.length > 0) {
      this.#note(await this.#nodes.refresh(signal))
      await this.#readInto(readings, moved, clocks, signal)
    }
    const memories = new Map<string, StreamMemory>()
    const streams = keys.flatMap(({ key, name }): ReadStream[] => {
      const read = readings.get(key)
      let memory = this.#memories.get(key)
      if (memory !== undefined && read === undefined) memories.set(key, memory)
      if (read === undefined) return []
      // Nothing that was known of another stream of that key says anything about this one.
      const isNew = memory?.figures !== undefined && isAnother(memory.figures, read.reading)
      if (memory === undefined || isNew) memory = new StreamMemory()
      memories.set(key, memory)
      memory.readers = readersOf(read.reading)
      memory.isLarge = read.reading.firstEntryBytes >= LARGE_ENTRY_BYTES
      const nowMs = clocks.get(read.node) ?? 0
      const groups = read.reading.groups.slice(0, this.#options.maxGroupsPerStream)
      return [{ key, name, ...read, groups, memory, nowMs }]
    })
    this.#memories = memories
    return streams
  }

  /** Answers the keys that other nodes serve by now. */
  async #readInto(
    readings: Map<string, { reading: StreamReading; node: FleetNode }>,
    keys: readonly EventStreamKey[],
    up: ReadonlyMap<FleetNode, unknown>,
    signal: AbortSignal,
  ): Promise<readonly EventStreamKey[]> {
    const moved: EventStreamKey[] = []
    const byNode = Map.groupBy(keys, ({ key }) => this.#nodes.of(key))
    await Promise.all(
      [...byNode].map(async ([node, own]) => {
        if (node === undefined || !up.has(node)) return
        const replies = await this.#ask(node, own, signal)
        for (const [index, stream] of own.entries()) {
          const reply = replies[index]
          if (reply === undefined) continue
          if (reply.failure === undefined) {
            readings.set(stream.key, { reading: reply.value, node })
          } else if (reply.failure === 'moved') {
            moved.push(stream)
          } else if (reply.failure === 'gone' || reply.failure === 'wrong-type') {
            for (const discovery of this.#discoveries.values()) discovery.forget(stream.key)
          }
          this.#note(reply)
        }
      }),
    )
    return moved
  }

  /** Answers the figures of streams, of those with large entries without the entries, as far as that fits. */
  async #ask(
    node: FleetNode,
    streams: readonly EventStreamKey[],
    signal: AbortSignal,
  ): Promise<Reply<StreamReading>[]> {
    const { maxCommands, maxStreams, maxCountedEvents } = this.#options
    let left = maxCountedEvents === 0 ? 0 : (maxCommands - maxStreams) / 2
    const lean = new Set<number>()
    const commands = streams.map(({ key }, index): Command => {
      if (this.#memories.get(key)?.isLarge !== true || left-- < 1) return streamCommand(key)
      lean.add(index)
      return leanStreamCommand(key, false)
    })
    const replies = await node.runAndRead(commands, signal, parseStream, (command, index) => {
      const readers = this.#memories.get(streams[index]?.key ?? '')?.readers
      if (lean.has(index) || readers === undefined) return expectedMicros(command)
      return microsOfFigures(readers)
    })
    const again = async (command: Command): Promise<Reply<StreamReading>> => {
      const [reply] = await node.runAndRead([command], signal, parseStream)
      return reply ?? { failure: 'other', error: undefined }
    }
    for (const index of lean) {
      const key = streams[index]?.key ?? ''
      if (replies[index]?.failure === 'no-script') {
        replies[index] = await again(leanStreamCommand(key, true))
      }
      // Who may not run scripts has the payload sent.
      if (replies[index]?.failure === 'permission') {
        this.#note(replies[index])
        replies[index] = await again(streamCommand(key))
      }
      // What the script ran inside.
      this.#meter.commands += 1
    }
    return replies
  }
}

function readersOf({ groups }: StreamReading): number {
  return groups.reduce((sum, { consumers }) => sum + 1 + consumers.length, 0)
}

function figureOf(info: string, name: string): number | undefined {
  const text = new RegExp(`^${name}:(\\d+)`, 'm').exec(info)?.[1]
  return text === undefined ? undefined : Number(text)
}
