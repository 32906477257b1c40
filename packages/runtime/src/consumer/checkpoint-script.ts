import { PAUSED_FIELD, pauseOf, type StreamPause } from '../admin/pauses.ts'
import { defineScript, evaluate, type Script } from '../connection/script.ts'
import type { Session } from '../connection/session.ts'
import { activityLua } from '../retention/activity-lua.ts'
import { gapLua } from '../retention/gap-lua.ts'
import { type ReportedGap, reportedGap } from '../retention/gap.ts'
import { streamIdLua } from '../stream/incarnation.ts'
import type { StreamKeys } from '../stream/keys.ts'

const checkpointScript: Script = defineScript(
  'consumer-checkpoint',
  `#!lua flags=allow-oom
--[[ Raises the beats and stores the positions of any number of consumers of one stream, each only if
its holder is still the one and the stream still is what the holder read. Sending the same request
again does no harm.
KEYS 1 stream, 2 meta, then state and redrive stream of each consumer
ARGV for each run of consumers with the same request 10: number of consumers, incarnation, position to
  start from, position to store or '', ids that may be the greatest instead, with commas around, index or
  '', ranges or '=' for unchanged, attempts or '=' for unchanged, '1' to release the lease, the gap that
  its owner was told of or ''; then name and token of each
Answers {incarnation, last-generated-id or '', entries-added, pauses or ''}, then for each consumer
  1 or {'OK', note, length of its redrive stream, gap or ''}, {'LOST'}, {'RECREATED'} or {'REWIND',
  stored position, greatest ids found}
]]
${streamIdLua}
${activityLua}
${gapLua}
local stream, meta = KEYS[1], KEYS[2]
local known = redis.call('HMGET', meta, 'incarnation', '${PAUSED_FIELD}')
local incarnation = known[1] or ''
local last, added, deleted, first = '', 0, '0-0', nil
if redis.call('EXISTS', stream) == 1 then
  local info = redis.call('XINFO', 'STREAM', stream)
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then last = info[i + 1] end
    if info[i] == 'entries-added' then added = info[i + 1] end
    if info[i] == 'max-deleted-entry-id' then deleted = info[i + 1] end
    if info[i] == 'first-entry' then first = info[i + 1] and info[i + 1][1] end
  end
end

-- Hardly ever is anything redriven, so all are asked about in one call.
local redrives = {}
for i = 4, #KEYS, 2 do redrives[#redrives + 1] = KEYS[i] end
local any_redrives = redis.call('EXISTS', unpack(redrives)) > 0

local function greatest(from, to)
  -- XREVRANGE that ends before the first entry goes through the whole stream.
  if not first or id_before(to, first) then return '' end
  local entries = redis.call('XREVRANGE', stream, to, from, 'COUNT', 1)
  return entries[1] and entries[1][1] or ''
end

-- Many consumers ask the same of one stream: what only the stream can answer is looked at once for a run.
local function run_at(a)
  local run = {incarnation = ARGV[a + 1], from = ARGV[a + 2], to = ARGV[a + 3], told = ARGV[a + 9]}
  local named, ranges = ARGV[a + 4], ARGV[a + 6]
  -- All that is in the way is told at once: with one at a time, ranges and position would take turns.
  local strange = {}
  local function look(found, expected)
    if found == '' or found == expected or named:find(',' .. found .. ',', 1, true) then return end
    strange[#strange + 1] = found
  end
  local still = {}
  if ranges ~= '=' then
    for from, until_id in ranges:gmatch('([%d%-]+)>([%d%-]+)') do
      if last == '' or id_before(last, until_id) then run.lost_ranges = true; break end
      look(greatest(from, until_id), until_id)
    end
    still = {'ranges', ranges}
  end
  if ARGV[a + 7] ~= '=' then
    still[#still + 1] = 'attempts'
    still[#still + 1] = ARGV[a + 7]
  end
  if ARGV[a + 8] == '1' then
    still[#still + 1] = 'released'
    still[#still + 1] = '1'
  end
  run.still, run.strange_still = still, table.concat(strange, ',')
  if run.to ~= '' and not run.lost_ranges then
    run.lost_position = last == '' or id_before(last, run.to)
    if not run.lost_position then look(greatest('(' .. run.from, run.to), run.to) end
    run.strange_moving = table.concat(strange, ',')
    run.index = ARGV[a + 5]
    if run.to == last then
      run.index = tostring(added)
    elseif id_before(run.to, deleted) then
      run.index = ''
    end
    run.moving = {'position', run.to, 'index', run.index, unpack(still)}
  end
  return run
end

local beyond = {}
local function is_beyond(id)
  if beyond[id] == nil then beyond[id] = last == '' or id_before(last, id) end
  return beyond[id]
end

-- Answers whether the image had vanished.
local function move_image(name, run)
  local moved
  if run.index ~= '' then
    moved = redis.pcall('XGROUP', 'SETID', stream, name, run.to, 'ENTRIESREAD', run.index)
  else
    moved = redis.pcall('XGROUP', 'SETID', stream, name, run.to)
  end
  if not moved['err'] then return false end
  local create = {'XGROUP', 'CREATE', stream, name, run.to}
  if run.index ~= '' then create[6] = 'ENTRIESREAD'; create[7] = run.index end
  local created = redis.pcall(unpack(create))
  return created['err'] and created or true
end

local function store(state, redrive, name, token, run)
  local f = redis.call('HMGET', state, 'token', 'released', 'incarnation', 'position', 'ahead',
    'beat', 'gap', 'active')
  local position, gap, to = f[4], f[7] or '', run.to
  if f[1] ~= token or f[2] == '1' then return {'LOST'} end
  if f[3] ~= run.incarnation or incarnation ~= run.incarnation then return {'RECREATED'} end
  -- Positions and streams are replicated and saved in one order: no failover leaves a position beyond
  -- the last id. Somebody who knows nothing of incarnations made the stream anew.
  if last == '' or (is_beyond(position) and position ~= f[5]) then return {'RECREATED'} end
  if position ~= run.from and not (to ~= '' and position == to) then return {'REWIND', position, ''} end
  if run.lost_ranges then return {'REWIND', position, ''} end
  local moves = to ~= '' and position ~= to
  if moves and run.lost_position then return {'REWIND', position, ''} end
  local strange = moves and run.strange_moving or run.strange_still
  if strange ~= '' then return {'REWIND', position, strange} end
  local new_image = moves and move_image(name, run)
  if new_image and new_image ~= true then return new_image end
  local changes = moves and run.moving or run.still
  local left = remaining_gap(gap, run.told)
  local active = sign_of_life(f[8])
  if left ~= gap or active then
    changes = {unpack(changes)}
    if left ~= gap then changes[#changes + 1] = 'gap'; changes[#changes + 1] = left end
    if active then changes[#changes + 1] = 'active'; changes[#changes + 1] = active end
  end
  redis.call('HSET', state, 'beat', (tonumber(f[6]) or 0) + 1, unpack(changes))
  local redriving = any_redrives and redis.pcall('XLEN', redrive) or 0
  if type(redriving) ~= 'number' then redriving = 0 end
  if not new_image and redriving == 0 and left == '' then return 1 end
  return {'OK', new_image and 'image' or '', redriving, left}
end

local answers = {{incarnation, last, added, known[2] or ''}}
local key, at = 3, 1
while key <= #KEYS do
  local run, consumers = run_at(at), tonumber(ARGV[at])
  at = at + 10
  for _ = 1, consumers do
    local answer = store(KEYS[key], KEYS[key + 1], ARGV[at], ARGV[at + 1], run)
    if answer ~= 1 and answer['err'] then answer = {'ERROR', answer['err']} end
    answers[#answers + 1] = answer
    key, at = key + 2, at + 2
  end
end
return answers
`,
)

/** What one holder wants to be stored. */
export interface CheckpointRequest {
  readonly name: string
  readonly token: string
  readonly incarnation: string
  /** The position that is stored now, as far as the holder knows. */
  readonly from: string
  /** The new position; '' to leave it. */
  readonly to: string
  /** Ids that the holder processed and that may be the greatest in place of the one that it stores. */
  readonly named: readonly string[]
  /** How many events lie at or before `to`; undefined when not known. */
  readonly index: number | undefined
  /** Ranges as text; undefined to leave them. */
  readonly ranges: string | undefined
  /** Attempts as text; undefined to leave them. */
  readonly attempts: string | undefined
  readonly release: boolean
  /** A gap, as it stands in the state, that the owner was told of; '' for none. */
  readonly toldGap: string
}

export type CheckpointAnswer =
  | {
      readonly outcome: 'ok'
      readonly imageRecreated: boolean
      /** How many redriven events wait for the consumer. */
      readonly redriving: number
      /** Events that were removed before they were processed, and that nobody was told of. */
      readonly gap: ReportedGap | undefined
      /** What pauses the consumer, if somebody who administers the stream wants that. */
      readonly pause: StreamPause | undefined
    }
  | { readonly outcome: 'lost' }
  | { readonly outcome: 'recreated' }
  | { readonly outcome: 'rewind'; readonly stored: string; readonly found: readonly string[] }
  | { readonly outcome: 'error'; readonly message: string }

export async function checkpoint(
  session: Session,
  keys: StreamKeys,
  requests: readonly CheckpointRequest[],
): Promise<CheckpointAnswer[]> {
  const runs = Map.groupBy(requests, sharedBy)
  const scriptKeys = [keys.stream, keys.meta]
  const args: string[] = []
  for (const [shared, alike] of runs) {
    args.push(String(alike.length), ...shared.split(SEPARATOR))
    for (const { name, token } of alike) {
      scriptKeys.push(keys.state(name), keys.redrive(name))
      args.push(name, token)
    }
  }
  const [figures, ...replies] = (await evaluate(session, checkpointScript, scriptKeys, args)) as [
    unknown[],
    ...unknown[],
  ]
  const paused = String(figures[3])
  const answers = new Map<CheckpointRequest, CheckpointAnswer>()
  for (const [i, request] of [...runs.values()].flat().entries()) {
    answers.set(request, answerOf(replies[i], request, pauseOf(paused, request.name)))
  }
  return requests.flatMap((request) => answers.get(request) ?? [])
}

const SEPARATOR = '\n'

/** What the script takes once for all consumers that ask the same, as many do that are at one position. */
function sharedBy(request: CheckpointRequest): string {
  return [
    request.incarnation,
    request.from,
    request.to,
    request.named.length === 0 ? '' : `,${request.named.join(',')},`,
    request.index ?? '',
    request.ranges ?? '=',
    request.attempts ?? '=',
    request.release ? '1' : '',
    request.toldGap,
  ].join(SEPARATOR)
}

const STORED = {
  outcome: 'ok',
  imageRecreated: false,
  redriving: 0,
  gap: undefined,
  pause: undefined,
} as const

function answerOf(
  reply: unknown,
  { incarnation }: CheckpointRequest,
  pause: StreamPause | undefined,
): CheckpointAnswer {
  if (!Array.isArray(reply)) return pause === undefined ? STORED : { ...STORED, pause }
  const text = reply.map(String)
  switch (text[0]) {
    case 'OK':
      return {
        outcome: 'ok',
        imageRecreated: text[1] === 'image',
        redriving: Number(text[2] ?? 0),
        gap: reportedGap(text[3] ?? '', incarnation),
        pause,
      }
    case 'LOST':
      return { outcome: 'lost' }
    case 'RECREATED':
      return { outcome: 'recreated' }
    case 'REWIND':
      return {
        outcome: 'rewind',
        stored: text[1] ?? '',
        found: (text[2] ?? '').split(',').filter((id) => id !== ''),
      }
    default:
      return { outcome: 'error', message: text[1] ?? 'no answer' }
  }
}
