import { createHash } from 'node:crypto'
import { compareIds } from '@millrace/runtime'
import type { Command, FleetNode, Reply } from './node.ts'
import { listOf, textOf } from './stream-reading.ts'

/**
 * Counts entries where they are, so that no payload travels. It only reads (`EVAL_RO`), and looks at a page
 * at a time, so that large entries do not fill the server's memory.
 */
const COUNT_SOURCE = `--[[ How many entries lie in parts of a stream, a bounded number at a time.
KEYS 1 stream
ARGV 1 most entries to count, 2 entries per page, then pairs: after this id, up to and with this id
Answers how many commands it ran, then for each part it came to: entries, the first id or '', and where to
go on when the bound was met, else ''
]]
local left, page = tonumber(ARGV[1]), tonumber(ARGV[2])
local answer = {0}
for i = 3, #ARGV, 2 do
  if left <= 0 then break end
  local cursor, counted, first, on = ARGV[i], 0, '', ''
  while true do
    local most = math.min(page, left)
    local entries = redis.call('XRANGE', KEYS[1], '(' .. cursor, ARGV[i + 1], 'COUNT', most)
    answer[1] = answer[1] + 1
    if #entries > 0 then
      if first == '' then first = entries[1][1] end
      cursor = entries[#entries][1]
      counted, left = counted + #entries, left - #entries
    end
    if #entries < most then break end
    if left <= 0 then on = cursor break end
  end
  answer[#answer + 1] = counted
  answer[#answer + 1] = first
  answer[#answer + 1] = on
end
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
  /** What lies between the positions, from the end backwards: what is counted once counts for all before. */
  readonly parts: Part[]
  readonly counts: Map<string, Count>
  total: number
  firstId: string
}

interface Part {
  readonly position: string
  readonly upTo: string
  after: string
  events: number
  firstId: string
}

/**
 * Counts what lies behind positions, for each task from its end backwards, as far as the budget goes, which
 * is taken from.
 */
export async function countBehind(
  tasks: readonly CountTask[],
  budget: CountBudget,
  signal: AbortSignal,
  onFailure: (reply: Reply) => void,
): Promise<Counted> {
  let open = tasks.map(begin)
  const done = new Map(open.map(({ task, counts }) => [task, counts]))
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
        const { commands, events } = learn(progress, listOf(reply.value))
        budget.commands -= commands
        insideCommands += commands
        budget.events -= events
        if (progress.parts.length > 0) next.push(progress)
      } else onFailure(reply)
    }
    usesSource = forgotten
    open = [...next, ...open.slice(round.length)]
  }
  return { counts: done, insideCommands }
}

function begin(task: CountTask): Progress {
  const positions = [...new Set(task.positions)].toSorted((a, b) => compareIds(b, a))
  const parts = positions.map((position, index) => ({
    position,
    after: position,
    upTo: positions[index - 1] ?? task.end,
    events: 0,
    firstId: '',
  }))
  return { task, parts, counts: new Map(), total: 0, firstId: '' }
}

/** As many as can be paid for, each with what it may at most cost. */
function affordable(open: readonly Progress[], budget: CountBudget): readonly Progress[] {
  let { commands, events } = budget
  const round: Progress[] = []
  for (const progress of open) {
    commands -= 1 + mostPages(progress)
    events -= mostOf(progress.task)
    if (round.length > 0 && (commands < 0 || events < 0)) break
    if (commands < 0) break
    round.push(progress)
  }
  return round
}

function mostPages({ task, parts }: Progress): number {
  return parts.length + Math.ceil(mostOf(task) / pageOf(task))
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

function commandOf({ task, parts }: Progress, usesSource: boolean): Command {
  const pairs = parts.flatMap(({ after, upTo }) => [after, upTo])
  const args = [1, task.key, mostOf(task), pageOf(task), ...pairs]
  return usesSource ? ['eval_ro', COUNT_SOURCE, ...args] : ['evalsha_ro', COUNT_SHA, ...args]
}

/** Answers what it cost. */
function learn(progress: Progress, answer: readonly unknown[]): CountBudget {
  let events = 0
  for (let i = 1; i + 2 < answer.length; i += 3) {
    const [part] = progress.parts
    if (part === undefined) break
    const counted = Number(answer[i])
    events += counted
    part.events += counted
    if (part.firstId === '') part.firstId = textOf(answer[i + 1])
    const goOn = textOf(answer[i + 2])
    if (goOn !== '') {
      part.after = goOn
      break
    }
    progress.total += part.events
    if (part.firstId !== '') progress.firstId = part.firstId
    progress.counts.set(part.position, { events: progress.total, firstId: progress.firstId })
    progress.parts.shift()
  }
  return { commands: Number(answer[0]), events }
}
