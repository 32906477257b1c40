import { createHash } from 'node:crypto'
import { compareIds } from '@millrace/runtime'
import type { Command, FleetNode, Reply } from './node.ts'
import { listOf, textOf } from './stream-reading.ts'

/**
 * Counts entries where they are, so that no payload travels. It only reads (`EVAL_RO`), and looks at a page
 * at a time, so that large entries do not fill the server's memory.
 */
const COUNT_SOURCE = `--[[ Counts the entries of a part of a stream, a bounded number at a time, and says where positions lie.
KEYS 1 stream
ARGV 1 most entries to count, 2 entries per page, 3 the id to begin after, 4 the last id to count, then
  positions from the smallest on, none before where it begins
Answers how many commands it ran, how many entries it counted, where to go on when the bound was met, else
'', and for each position that it has passed: how many entries it had counted before, and the id after it
]]
local left, page, cursor, last = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], ARGV[4]
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
local ran, counted, on, passed, position = 0, 0, '', {}, 5
while true do
  local most = math.min(page, left)
  local entries = redis.call('XRANGE', KEYS[1], '(' .. cursor, last, 'COUNT', most)
  ran = ran + 1
  while ARGV[position] and #entries > 0 and is_after(entries[#entries][1], ARGV[position]) do
    local low, high = 1, #entries
    while low < high do
      local middle = math.floor((low + high) / 2)
      if is_after(entries[middle][1], ARGV[position]) then high = middle else low = middle + 1 end
    end
    passed[#passed + 1] = counted + low - 1
    passed[#passed + 1] = entries[low][1]
    position = position + 1
  end
  counted, left = counted + #entries, left - #entries
  if #entries < most then break end
  cursor = entries[#entries][1]
  if left <= 0 then
    on = cursor
    break
  end
end
local answer = {ran, counted, on}
for i = 1, #passed do answer[i + 3] = passed[i] end
return answer
`
const COUNT_SHA = createHash('sha1').update(COUNT_SOURCE).digest('hex')

/** What one script may count: about a millisecond of the server. */
const COUNTED_AT_ONCE = 1_000
const PAGES_AT_ONCE = 10
/** What one page of entries may take of the server's memory, by the size of the stream's first entry. */
const PAGE_BYTES = 262_144
const MOST_PER_PAGE = 200

/** Positions of one stream whose lag is to be counted, up to an end. */
export interface CountTask {
  readonly key: string
  readonly node: FleetNode
  /** The stream's last id as it was read: what came later does not count. */
  readonly end: string
  readonly entryBytes: number
  readonly positions: readonly string[]
}

/** The number of entries after a position, and the first of them ('' when there is none). */
export interface Count {
  readonly events: number
  readonly firstId: string
}

export interface Counted {
  /** What the budget did not allow is missing. */
  readonly counts: ReadonlyMap<CountTask, ReadonlyMap<string, Count>>
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
  const done = new Map<CountTask, ReadonlyMap<string, Count>>()
  let usesSource = false
  let insideCommands = 0
  while (open.length > 0 && budget.commands > 1 && budget.events > 0) {
    const round = affordable(open, budget)
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
        const { commands, events, isDone } = learn(progress, listOf(reply.value))
        budget.commands -= commands
        insideCommands += commands
        budget.events -= events
        if (isDone) done.set(progress.task, countsOf(progress))
        else next.push(progress)
      } else onFailure(reply)
    }
    usesSource = forgotten
    open = [...next, ...open.slice(round.length)]
  }
  return { counts: done, insideCommands }
}

function begin(task: CountTask): Progress {
  const positions = [...new Set(task.positions)].toSorted(compareIds)
  return { task, positions, passed: [], counted: 0, cursor: positions[0] ?? task.end }
}

/** As many as can be paid for, each with what it may at most cost. */
function affordable(open: readonly Progress[], budget: CountBudget): readonly Progress[] {
  let { commands, events } = budget
  const round: Progress[] = []
  for (const progress of open) {
    commands -= 1 + mostPages(progress.task)
    events -= mostOf(progress.task)
    if (round.length > 0 && (commands < 0 || events < 0)) break
    if (commands < 0) break
    round.push(progress)
  }
  return round
}

function mostPages(task: CountTask): number {
  return Math.ceil(mostOf(task) / pageOf(task))
}

/** How many entries one script may count. */
function mostOf(task: CountTask): number {
  return Math.min(COUNTED_AT_ONCE, pageOf(task) * PAGES_AT_ONCE)
}

function pageOf({ entryBytes }: CountTask): number {
  return Math.min(Math.max(Math.floor(PAGE_BYTES / Math.max(entryBytes, 1)), 1), MOST_PER_PAGE)
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
  const args = [1, task.key, mostOf(task), pageOf(task), cursor, task.end, ...left]
  return usesSource ? ['eval_ro', COUNT_SOURCE, ...args] : ['evalsha_ro', COUNT_SHA, ...args]
}

/** Answers what it cost. */
function learn(
  progress: Progress,
  [ran, counted, cursor, ...passed]: readonly unknown[],
): CountBudget & { readonly isDone: boolean } {
  for (let i = 0; i + 1 < passed.length; i += 2) {
    const countedBefore = progress.counted + Number(passed[i])
    progress.passed.push({ countedBefore, firstId: textOf(passed[i + 1]) })
  }
  progress.counted += Number(counted)
  progress.cursor = textOf(cursor)
  return { commands: Number(ran), events: Number(counted), isDone: progress.cursor === '' }
}

function countsOf({ positions, passed, counted }: Progress): ReadonlyMap<string, Count> {
  return new Map(
    positions.map((position, index) => {
      const { countedBefore = counted, firstId = '' } = passed[index] ?? {}
      return [position, { events: counted - countedBefore, firstId }]
    }),
  )
}
