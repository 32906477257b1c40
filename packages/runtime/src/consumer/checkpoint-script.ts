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
ARGV for each consumer 11: name, token, incarnation, position to start from, position to store or '',
  ids that may be the greatest instead, with commas around, index or '', ranges or '=' for unchanged,
  attempts or '=' for unchanged, '1' to release the lease, the gap that its owner was told of or ''
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

-- Many consumers pass the same events, so the same question is asked many times.
local asked = {}
local function greatest(from, to)
  -- XREVRANGE that ends before the first entry goes through the whole stream.
  if not first or id_before(to, first) then return '' end
  local question = from .. ' ' .. to
  local known = asked[question]
  if known == nil then
    local entries = redis.call('XREVRANGE', stream, to, from, 'COUNT', 1)
    known = entries[1] and entries[1][1] or ''
    asked[question] = known
  end
  return known
end

local function store(state, redrive, a)
  local name, token, from, to, named = ARGV[a], ARGV[a + 1], ARGV[a + 3], ARGV[a + 4], ARGV[a + 5]
  local f = redis.call('HMGET', state, 'token', 'released', 'incarnation', 'position', 'ahead',
    'beat', 'gap', 'active')
  if f[1] ~= token or f[2] == '1' then return {'LOST'} end
  if f[3] ~= ARGV[a + 2] or incarnation ~= ARGV[a + 2] then return {'RECREATED'} end
  -- Positions and streams are replicated and saved in one order: no failover leaves a position beyond
  -- the last id. Somebody who knows nothing of incarnations made the stream anew.
  if last == '' or (id_before(last, f[4]) and f[4] ~= f[5]) then return {'RECREATED'} end
  if f[4] ~= from and not (to ~= '' and f[4] == to) then return {'REWIND', f[4], ''} end
  local changes = {}
  local note = ''
  -- All that is in the way is told at once: with one at a time, ranges and position would take turns.
  local strange = {}
  local function look(found, expected)
    if found == '' or found == expected or named:find(',' .. found .. ',', 1, true) then return end
    strange[#strange + 1] = found
  end
  if ARGV[a + 7] ~= '=' then
    for first, until_id in ARGV[a + 7]:gmatch('([%d%-]+)>([%d%-]+)') do
      if last == '' or id_before(last, until_id) then return {'REWIND', f[4], ''} end
      look(greatest(first, until_id), until_id)
    end
    changes[#changes + 1] = 'ranges'
    changes[#changes + 1] = ARGV[a + 7]
  end
  if to ~= '' and f[4] ~= to then
    if last == '' or id_before(last, to) then return {'REWIND', f[4], ''} end
    look(greatest('(' .. from, to), to)
    if #strange > 0 then return {'REWIND', f[4], table.concat(strange, ',')} end
    local index = ARGV[a + 6]
    if to == last then
      index = tostring(added)
    elseif id_before(to, deleted) then
      index = ''
    end
    changes[#changes + 1] = 'position'
    changes[#changes + 1] = to
    changes[#changes + 1] = 'index'
    changes[#changes + 1] = index
    local moved
    if index ~= '' then
      moved = redis.pcall('XGROUP', 'SETID', stream, name, to, 'ENTRIESREAD', index)
    else
      moved = redis.pcall('XGROUP', 'SETID', stream, name, to)
    end
    if moved['err'] then
      local create = {'XGROUP', 'CREATE', stream, name, to}
      if index ~= '' then create[6] = 'ENTRIESREAD'; create[7] = index end
      local created = redis.pcall(unpack(create))
      if created['err'] then return redis.error_reply(created['err']) end
      note = 'image'
    end
  end
  if #strange > 0 then return {'REWIND', f[4], table.concat(strange, ',')} end
  if ARGV[a + 8] ~= '=' then
    changes[#changes + 1] = 'attempts'
    changes[#changes + 1] = ARGV[a + 8]
  end
  if ARGV[a + 9] == '1' then
    changes[#changes + 1] = 'released'
    changes[#changes + 1] = '1'
  end
  local gap = remaining_gap(f[7] or '', ARGV[a + 10])
  if gap ~= (f[7] or '') then
    changes[#changes + 1] = 'gap'
    changes[#changes + 1] = gap
  end
  local active = sign_of_life(f[8])
  if active then
    changes[#changes + 1] = 'active'
    changes[#changes + 1] = active
  end
  redis.call('HSET', state, 'beat', (tonumber(f[6]) or 0) + 1, unpack(changes))
  local redriving = any_redrives and redis.pcall('XLEN', redrive) or 0
  if type(redriving) ~= 'number' then redriving = 0 end
  if note == '' and redriving == 0 and gap == '' then return 1 end
  return {'OK', note, redriving, gap}
end

local answers = {{incarnation, last, added, known[2] or ''}}
for i = 3, #KEYS, 2 do
  local answer = store(KEYS[i], KEYS[i + 1], 1 + (i - 3) / 2 * 11)
  if answer ~= 1 and answer['err'] then answer = {'ERROR', answer['err']} end
  answers[#answers + 1] = answer
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
  const args: (string | number)[] = []
  for (const request of requests) {
    args.push(
      request.name,
      request.token,
      request.incarnation,
      request.from,
      request.to,
      request.named.length === 0 ? '' : `,${request.named.join(',')},`,
      request.index ?? '',
      request.ranges ?? '=',
      request.attempts ?? '=',
      request.release ? '1' : '',
      request.toldGap,
    )
  }
  const reply = (await evaluate(
    session,
    checkpointScript,
    [
      keys.stream,
      keys.meta,
      ...requests.flatMap(({ name }) => [keys.state(name), keys.redrive(name)]),
    ],
    args,
  )) as unknown[]
  const paused = String((reply[0] as unknown[])[3])
  return reply.slice(1).map((answer, i) => {
    const request = requests[i]
    if (!Array.isArray(answer)) return storedAnswer(pauseOf(paused, request?.name ?? ''))
    const pause = pauseOf(paused, request?.name ?? '')
    return answerOf(answer.map(String), request?.incarnation ?? '', pause)
  })
}

function storedAnswer(pause: StreamPause | undefined): CheckpointAnswer {
  return pause === undefined ? STORED : { ...STORED, pause }
}

const STORED = {
  outcome: 'ok',
  imageRecreated: false,
  redriving: 0,
  gap: undefined,
  pause: undefined,
} as const

function answerOf(
  text: readonly string[],
  incarnation: string,
  pause: StreamPause | undefined,
): CheckpointAnswer {
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
