import type { CompanionKey, ReadStream } from './read-stream.ts'
import {
  CONSUMER_FIELDS,
  metaKey,
  parseConsumerState,
  parseGroupState,
  parseMeta,
  type ReaderState,
  stateKey,
} from './companions.ts'
import type { Detail } from './details.ts'
import type { GroupMemory } from './memory.ts'
import type { Command } from './node.ts'
import { type GroupReading, listOf, parseStream, textOf } from './stream-reading.ts'

/** How often memory is worth being sampled, in milliseconds. */
const BYTES_EVERY_MS = 60_000
/** How many pending events of a group are looked at. */
const PENDING_LOOKED_AT = 100

/** All that may be read of one stream beside its figures. */
export function detailsOf(stream: ReadStream, companions: readonly CompanionKey[]): Detail[] {
  const { key, name, memory, groups, reading } = stream
  const details = new Collected(stream)
  details.add(['memory', 'usage', key, 'samples', 5], BYTES_EVERY_MS, (value) => {
    memory.bytes = Number(value ?? 0)
  })
  const known = memory.lastEntry
  if (
    reading.length > 0 &&
    reading.maxDeletedId === reading.lastId &&
    (known?.lastId !== reading.lastId || known.maxDeletedId !== reading.maxDeletedId)
  ) {
    details.add(['xrevrange', key, '+', '-', 'count', 1], 0, (value) => {
      const [id] = listOf(listOf(value)[0])
      memory.lastEntry = {
        lastId: reading.lastId,
        maxDeletedId: reading.maxDeletedId,
        id: textOf(id),
      }
    })
  }
  if (name !== '') {
    details.add(['hgetall', metaKey(key)], 0, (value) => {
      memory.meta = parseMeta(value)
    })
  }
  for (const group of groups) addGroup(details, stream, group)
  for (const [group, own] of memory.groups) {
    const has = (kind: CompanionKey['kind']): boolean =>
      companions.some((one) => one.kind === kind && one.group === group)
    if (own.deadLetters !== undefined && !has('dead')) own.deadLetters = undefined
    if (own.redriving !== undefined && !has('redrive')) own.redriving = undefined
  }
  for (const companion of companions) addCompanion(details, memory.groups, companion)
  return details.all
}

class Collected {
  readonly all: Detail[] = []
  readonly #stream: ReadStream

  constructor(stream: ReadStream) {
    this.#stream = stream
  }

  add(
    command: Command,
    everyMs: number,
    apply: (value: unknown) => void,
    gone: () => void = () => undefined,
  ): void {
    const { node } = this.#stream
    this.all.push({ id: command.join(' '), node, command, everyMs, apply, gone })
  }
}

function addGroup(details: Collected, { key, memory }: ReadStream, group: GroupReading): void {
  const own = memory.group(group.name)
  const take = (state: ReaderState): void => {
    own.state = state
    own.manning = own.beats.look(state.holders, performance.now())
  }
  switch (memory.meta?.kinds.get(group.name)) {
    case 'consumer':
      details.add(['hmget', stateKey(key, group.name), ...CONSUMER_FIELDS], 0, (value) => {
        take(parseConsumerState(value))
      })
      break
    case 'group':
      details.add(['hgetall', stateKey(key, group.name)], 0, (value) => {
        take(parseGroupState(value))
      })
      break
    case 'foreign':
    case undefined:
      break
  }
  if (group.pending === 0) own.pendingByDeliveries = undefined
  else {
    const command: Command = ['xpending', key, group.name, '-', '+', PENDING_LOOKED_AT]
    details.add(command, 0, (value) => {
      own.pendingByDeliveries = byDeliveries(listOf(value))
    })
  }
}

function addCompanion(
  details: Collected,
  groups: ReadonlyMap<string, GroupMemory>,
  { kind, key, group }: CompanionKey,
): void {
  const own = groups.get(group)
  if (own === undefined) return
  if (kind === 'redrive') {
    details.add(['xlen', key], 0, (value) => {
      own.redriving = Number(value)
    })
    return
  }
  details.add(
    ['xinfo', 'stream', key, 'full', 'count', 1],
    0,
    (value) => {
      const { length, firstId } = parseStream(value)
      own.deadLetters = { length, firstId }
    },
    () => {
      own.deadLetters = undefined
    },
  )
}

/** How often a pending event may have been delivered, as the `deliveries` label has it, with upper bounds. */
const DELIVERIES: readonly (readonly [label: string, most: number])[] = [
  ['1', 1],
  ['2', 2],
  ['3', 3],
  ['4-7', 7],
  ['8 or more', Number.POSITIVE_INFINITY],
]

function byDeliveries(pending: readonly unknown[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = Object.fromEntries(DELIVERIES.map(([label]) => [label, 0]))
  for (const entry of pending) {
    const deliveries = Number(listOf(entry)[3])
    const [label] = DELIVERIES.find(([, most]) => deliveries <= most) ?? []
    if (label !== undefined) counts[label] = (counts[label] ?? 0) + 1
  }
  return counts
}
