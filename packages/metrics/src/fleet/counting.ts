import { createHash } from 'node:crypto'
import { compareIds } from '@millrace/runtime'
import type { Command, FleetNode, Reply } from './node.ts'
import { listOf, textOf } from './stream-reading.ts'

/** Counts entries where they are, so that no payload travels. It only reads (`EVAL_RO`). */
const COUNT_SOURCE = `--[[ Counts the entries of a part of a stream, a bounded number of them, and says where positions lie.
KEYS 1 stream
ARGV 1 most entries to count, 2 the id to begin after, 3 the last id to count, then positions from the
  smallest on, none before where it begins
Answers how many entries it counted, where to go on when the bound was met, else '', and for each position
  that it has passed: how many entries it had counted before, and the id after it
]]
local function greater(a, b)
  if #a ~= #b then return #a > #b end
  return a > b
end
local function is_after(a, b)
  local a_ms, a_sequence = a:match('^(%d+)-(%d+)$')
  local b_ms, b_sequence = b:match('^(%d+)-(%d+)$')
  if a_ms == b_ms then return greater(a_sequence, b_sequence) end
  return greater(a_ms, b_ms)
end
local entries = redis.call('XRANGE', KEYS[1], '(' .. ARGV[2], ARGV[3], 'COUNT', ARGV[1])
local passed, position = {}, 4
while ARGV[position] and #entries > 0 and is_after(entries[#entries][1], ARGV[position]) do
  local low, high = 1, #entries
  while low < high do
    local middle = math.floor((low + high) / 2)
    if is_after(entries[middle][1], ARGV[position]) then high = middle else low = middle + 1 end
  end
  passed[#passed + 1] = low - 1
  passed[#passed + 1] = entries[low][1]
  position = position + 1
end
local on = ''
if #entries == tonumber(ARGV[1]) then on = entries[#entries][1] end
local answer = {#entries, on}
for i = 1, #passed do answer[i + 2] = passed[i] end
return answer
`
const COUNT_SHA = createHash('sha1').update(COUNT_SOURCE).digest('hex')

/** What one script may count, so that it takes about a tenth of a millisecond of the server. */
const COUNTED_AT_ONCE = 100
/** What these entries may take of the server's memory meanwhile, by the size of the stream's first entry. */
const BYTES_AT_ONCE = 262_144
/** It, and what it runs inside. */
const COMMANDS_PER_SCRIPT = 2

/** Positions of one stream whose lag is to be counted, up to an end. */
export interface CountTask {
  readonly key: string
  readonly node: FleetNode
  /** The stream's last id as it was read: what came later does not count. */
  readonly end: string
  readonly entryBytes: number
  readonly positions: readonly string[]
  /** About how many there will be to count. */
  readonly estimate: number
}

/** The number of entries after a position, and the first of them ('' when there is none). */
export interface Count {
  readonly events: number
  readonly firstId: string
}

export interface Counted {
  /** What the budget did not allow is missing. */
  readonly counts: ReadonlyMap<CountTask, ReadonlyMap<string, Count>>
  /** Those that turned out to be longer than was estimated, and were not finished. */
  readonly overrun: readonly CountTask[]
  /** Commands that scripts ran. */
  readonly insideCommands: number
}

export interface CountBudget {
  commands: number
  events: number
}

interface Progress {
  readonly task: CountTask
  /** From the smallest on. */
  readonly positions: readonly string[]
  /** What was found out of the first of them. */
  readonly passed: { readonly countedBefore: number; readonly firstId: string }[]
  counted: number
  cursor: string
}

/**
 * Counts what lies behind positions, for each stream once from the smallest position on, as far as the budget
 * goes, which is taken from.
 */
export async function countBehind(
  tasks: readonly CountTask[],
  budget: CountBudget,
  signal: AbortSignal,
  onFailure: (reply: Reply) => void,
): Promise<Counted> {
  let open: readonly Progress[] = tasks.map(begin)
  let isFirstRound = true
  const done = new Map<CountTask, ReadonlyMap<string, Count>>()
  let usesSource = false
  let insideCommands = 0
  while (open.length > 0 && budget.commands >= COMMANDS_PER_SCRIPT && budget.events > 0) {
    const round = affordable(open, budget, isFirstRound)
    if (round.length === 0) break
    const replies = await ask(round, usesSource, signal)
    const next: Progress[] = []
    let forgotten = false
    for (const [index, progress] of round.entries()) {
      const reply = replies[index] ?? { failure: 'other', error: undefined }
      budget.commands -= 1
      if (reply.failure === 'no-script' && !usesSource) {
        forgotten = true
        next.push(progress)
      } else if (reply.failure === undefined) {
        const { events, isDone } = learn(progress, listOf(reply.value))
        budget.commands -= COMMANDS_PER_SCRIPT - 1
        insideCommands += COMMANDS_PER_SCRIPT - 1
        budget.events -= events
        if (isDone) done.set(progress.task, countsOf(progress))
        else next.push(progress)
      } else onFailure(reply)
    }
    usesSource = forgotten
    isFirstRound = false
    open = [...next, ...open.slice(round.length)]
  }
  const overrun = open.filter(({ task, counted }) => counted > task.estimate)
  return { counts: done, overrun: overrun.map(({ task }) => task), insideCommands }
}

function begin(task: CountTask): Progress {
  const positions = [...new Set(task.positions)].toSorted(compareIds)
  return { task, positions, passed: [], counted: 0, cursor: positions[0] ?? task.end }
}

/** Whether all of so many events can be counted within the budget. */
export function isAffordable(events: number, entryBytes: number, budget: CountBudget): boolean {
  const scripts = Math.ceil(events / mostAtOnce(entryBytes))
  return events <= budget.events && scripts * COMMANDS_PER_SCRIPT <= budget.commands
}

/**
 * As many as can be paid for to their ends: what is begun and not finished was for nothing. The very first
 * is begun in any case, and what was begun goes on.
 */
function affordable(
  open: readonly Progress[],
  budget: CountBudget,
  isFirstRound: boolean,
): readonly Progress[] {
  let { commands, events } = budget
  const round: Progress[] = []
  for (const progress of open) {
    const { task, counted } = progress
    const atOnce = mostAtOnce(task.entryBytes)
    const left = Math.max(task.estimate - counted, atOnce)
    commands -= Math.ceil(left / atOnce) * COMMANDS_PER_SCRIPT
    events -= left
    const isExempt = round.length === 0 && (isFirstRound || counted > 0)
    if (!isExempt && (commands < 0 || events < 0)) break
    round.push(progress)
  }
  return round
}

function mostAtOnce(entryBytes: number): number {
  const fitting = Math.floor(BYTES_AT_ONCE / Math.max(entryBytes, 1))
  return Math.min(Math.max(fitting, 1), COUNTED_AT_ONCE)
}

async function ask(
  round: readonly Progress[],
  usesSource: boolean,
  signal: AbortSignal,
): Promise<Reply[]> {
  const byNode = Map.groupBy(round.keys(), (index) => round[index]?.task.node)
  const replies: Reply[] = []
  await Promise.all(
    [...byNode].map(async ([node, indexes]) => {
      const commands = indexes.flatMap((index): Command[] => {
        const progress = round[index]
        return progress === undefined ? [] : [commandOf(progress, usesSource)]
      })
      const answers = (await node?.run(commands, signal)) ?? []
      for (const [place, index] of indexes.entries()) {
        const answer = answers[place]
        if (answer !== undefined) replies[index] = answer
      }
    }),
  )
  return replies
}

function commandOf(progress: Progress, usesSource: boolean): Command {
  const { task, positions, passed, cursor } = progress
  const left = positions.slice(passed.length)
  const args = [1, task.key, mostAtOnce(task.entryBytes), cursor, task.end, ...left]
  return usesSource ? ['eval_ro', COUNT_SOURCE, ...args] : ['evalsha_ro', COUNT_SHA, ...args]
}

/** Answers how many it counted. */
function learn(
  progress: Progress,
  [counted, cursor, ...passed]: readonly unknown[],
): { readonly events: number; readonly isDone: boolean } {
  for (let i = 0; i + 1 < passed.length; i += 2) {
    const countedBefore = progress.counted + Number(passed[i])
    progress.passed.push({ countedBefore, firstId: textOf(passed[i + 1]) })
  }
  progress.counted += Number(counted)
  progress.cursor = textOf(cursor)
  return { events: Number(counted), isDone: progress.cursor === '' }
}

function countsOf({ positions, passed, counted }: Progress): ReadonlyMap<string, Count> {
  return new Map(
    positions.map((position, index) => {
      const { countedBefore = counted, firstId = '' } = passed[index] ?? {}
      return [position, { events: counted - countedBefore, firstId }]
    }),
  )
}
