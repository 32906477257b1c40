import { compareIds } from '@millrace/runtime'
import type { ReadStream } from './read-stream.ts'
import {
  type Count,
  type CountBudget,
  type CountTask,
  countBehind,
  isAffordable,
} from './counting.ts'
import { type LagDecision, lagOf } from './lag.ts'
import type { GroupMemory } from './memory.ts'
import type { Reply } from './node.ts'
import type { GroupReading } from './stream-reading.ts'

interface Open {
  readonly stream: ReadStream
  readonly group: GroupReading
  readonly memory: GroupMemory
  readonly decision: LagDecision
}

/**
 * Finds the lag of every group: from figures where they tell it, else by counting as far as the budget goes,
 * else as an estimate. Answers how many commands ran inside of scripts.
 */
export async function measureLags(
  streams: readonly ReadStream[],
  budget: CountBudget,
  signal: AbortSignal,
  onFailure: (reply: Reply) => void,
): Promise<number> {
  const unknown: Open[] = []
  const improvable: Open[] = []
  for (const stream of streams) {
    for (const group of stream.groups) {
      const memory = stream.memory.group(group.name)
      const decision = lagOf(stream.reading, group, memory.proof)
      const open = { stream, group, memory, decision }
      take(open)
      // What could not be finished would take the time of what can.
      if (!isAffordable(memory.lag.events, stream.reading.firstEntryBytes, budget)) continue
      if (decision.kind === 'unknown') unknown.push(open)
      else if (!decision.isVerified || memory.lag.oldestId === undefined) improvable.push(open)
    }
    stream.memory.figures = figuresOf(stream)
    forgetOthers(stream)
  }
  // What rests on Redis' count, or lacks the age of its first event, comes when nothing else is left.
  const inside = await count(unknown, budget, signal, onFailure)
  return inside + (await count(improvable, budget, signal, onFailure))
}

/** What figures tell. */
function take({ stream, group, memory, decision }: Open): void {
  if (decision.kind === 'unknown') {
    memory.lag = {
      events: decision.estimate,
      known: false,
      oldestId: oldestOf(stream, memory, group),
    }
    memory.proof = undefined
    return
  }
  const { events, isVerified, oldestId = oldestOf(stream, memory, group) } = decision
  memory.lag = { events, known: true, oldestId }
  memory.proof = { reader: readerOf(group), stream: figuresOf(stream), events, isVerified }
  if (events === 0) memory.caughtUpMs = stream.nowMs
}

async function count(
  open: readonly Open[],
  budget: CountBudget,
  signal: AbortSignal,
  onFailure: (reply: Reply) => void,
): Promise<number> {
  if (open.length === 0 || budget.events <= 0) return 0
  // Those first that have waited for it longest, so that each has its turn.
  const inOrder = open.toSorted((a, b) => a.memory.countTurnMs - b.memory.countTurnMs)
  const tasks = [...Map.groupBy(inOrder, ({ stream }) => stream)].map(
    ([stream, own]): CountTask => ({
      key: stream.key,
      node: stream.node,
      end: stream.reading.lastId,
      entryBytes: stream.reading.firstEntryBytes,
      positions: own.map(({ group }) => group.position),
      estimate: Math.max(...own.map(({ memory }) => memory.lag.events)),
    }),
  )
  const { counts, overrun, insideCommands } = await countBehind(tasks, budget, signal, onFailure)
  // One that nobody can finish must not take the turns of others.
  const overrunKeys = new Set(overrun.map(({ key }) => key))
  const byKey = new Map([...counts].map(([{ key }, of]) => [key, of]))
  for (const one of open) {
    const counted = byKey.get(one.stream.key)?.get(one.group.position)
    if (overrunKeys.has(one.stream.key)) one.memory.countTurnMs = one.stream.nowMs
    if (counted !== undefined) takeCount(one, counted)
  }
  return insideCommands
}

function takeCount({ stream, group, memory }: Open, { events, firstId }: Count): void {
  memory.lag = { events, known: true, oldestId: firstId }
  memory.countTurnMs = stream.nowMs
  memory.oldest = { position: group.position, id: firstId, gone: goneFrom(stream) }
  memory.proof = {
    reader: readerOf(group),
    stream: figuresOf(stream),
    events,
    isVerified: true,
  }
  if (events === 0) memory.caughtUpMs = stream.nowMs
}

/** The first event after a position that was counted before and has not moved, if it is still there. */
function oldestOf(
  stream: ReadStream,
  { oldest }: GroupMemory,
  { position }: GroupReading,
): string | undefined {
  if (oldest?.position !== position || oldest.id === '') return undefined
  const { firstId, maxDeletedId } = stream.reading
  const isTrimmed = compareIds(firstId, oldest.id) > 0
  // Deletions leave their greatest id, so below it only their number tells that there were none.
  const isDeleted = compareIds(maxDeletedId, oldest.id) >= 0 && goneFrom(stream) !== oldest.gone
  return isTrimmed || isDeleted ? undefined : oldest.id
}

function goneFrom({ reading }: ReadStream): number {
  return reading.entriesAdded - reading.length
}

function readerOf({ position, entriesRead }: GroupReading): {
  position: string
  entriesRead: number | undefined
} {
  return { position, entriesRead }
}

function figuresOf({ reading }: ReadStream): NonNullable<ReadStream['memory']['figures']> {
  const { length, firstId, lastId, maxDeletedId, entriesAdded } = reading
  return { length, firstId, lastId, maxDeletedId, entriesAdded }
}

function forgetOthers({ reading, memory }: ReadStream): void {
  if (memory.groups.size <= reading.groups.length) return
  const names = new Set(reading.groups.map(({ name }) => name))
  for (const name of memory.groups.keys()) if (!names.has(name)) memory.groups.delete(name)
}
