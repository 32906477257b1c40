import { defineScript, evaluate, type Script } from '../connection/script.ts'
import type { Session } from '../connection/session.ts'
import { FOREIGN_FIELD, NAME_FIELD } from '../retention/names.ts'
import { streamIdLua } from '../stream/incarnation.ts'
import type { StreamKeys } from '../stream/keys.ts'
import type { PressureFigures } from './pressure.ts'

/**
 * The figures by which a producer knows the pressure. They are a script of their own, sent right behind a
 * batch in the same turn, not a part of the append script: what is missing here (a right, a field) must never
 * fail a batch, and the same script serves while nothing is published.
 */
const figuresScript: Script = defineScript(
  'figures',
  `#!lua flags=no-writes
--[[ How far the slowest reader of a stream is behind, and how much memory the server uses. Reads no
  payloads but those of three entries, and writes nothing, so that it also runs when Redis is out of memory.
KEYS 1 stream, 2 meta
ARGV 1 age in ms of the last sign of life from which on a reader does not count, then the names of the
  readers that count, whatever their age; none for all that Millrace knows
Answers '<length> <entries-added> <lag in events> <1 if certain> <lag in ms> <used bytes> <maxmemory>
  <slowest>', with -1 for memory that cannot be read and no name when nobody counts
]]
${streamIdLua}
local stream, meta = KEYS[1], KEYS[2]
local function fields_of(flat)
  local by = {}
  for i = 1, #flat, 2 do by[flat[i]] = flat[i + 1] end
  return by
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

local used, most = -1, -1
local info = redis.pcall('INFO', 'memory')
if type(info) == 'string' then
  used = (tonumber(info:match('used_memory:(%d+)')) or -1) - (tonumber(info:match('mem_not_counted_for_evict:(%d+)')) or 0)
  most = tonumber(info:match('maxmemory:(%d+)')) or -1
end
local function answer(length, added, lag, known, age, slowest)
  return string.format('%.0f %.0f %.0f %d %.0f %.0f %.0f %s', length, added, lag, known and 1 or 0, age, used, most, slowest)
end
if redis.call('EXISTS', stream) == 0 then return answer(0, 0, 0, true, 0, '') end

local known = fields_of(redis.call('HGETALL', meta))
local by = fields_of(redis.call('XINFO', 'STREAM', stream))
local length, added, last, deleted = by['length'], by['entries-added'], by['last-generated-id'], by['max-deleted-entry-id']
local first = by['first-entry'] and by['first-entry'][1]

local function ms(id) return tonumber(id:match('^(%d+)')) end

-- How many events lie after the position, and whether that is certain.
local function events_after(position, index)
  if not first or not id_before(position, last) then return 0, true end
  if id_before(position, first) then return length, true end
  if index and not id_before(position, deleted) then return math.max(0, math.min(added - index, length)), true end
  -- By time, between the first event and the last; counting them would copy their payloads.
  local span = ms(last) - ms(first)
  if span == 0 then return length, false end
  return math.min(length, math.ceil(length * (ms(last) - ms(position)) / span)), false
end

local lag, certain, slowest, furthest = -1, true, '', nil
local function look(name, native, is_chosen)
  local state = redis.call('HMGET', stream .. ':state:' .. name, 'kind', 'incarnation', 'position', 'active', 'index', 'expired')
  if not state[1] and not native then return end
  if not is_chosen and tonumber(state[4]) and now - tonumber(state[4]) > tonumber(ARGV[1]) then return end
  local position, index, pending = '0-0', nil, 0
  if native and state[1] ~= 'consumer' then
    position, pending = native['last-delivered-id'], native['pending']
    -- Some servers count past what has expired, others do not.
    local has_lost = state[6] or (known['${FOREIGN_FIELD}' .. name] or ''):match('^[1-9]')
    if not has_lost then index = tonumber(native['entries-read']) end
  elseif state[2] == known['incarnation'] and state[3] then
    position, index = state[3], tonumber(state[5])
  end
  local events, is_certain = events_after(position, index)
  if events > 0 and (not furthest or id_before(position, furthest)) then furthest = position end
  if events + pending > lag then lag, certain, slowest = events + pending, is_certain, name end
end

local natives = {}
for _, flat in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
  local native = fields_of(flat)
  natives[native['name']] = native
end
if #ARGV > 1 then
  for i = 2, #ARGV do look(ARGV[i], natives[ARGV[i]], true) end
else
  for field, _ in pairs(known) do
    local name = field:match('^${NAME_FIELD}(.*)$')
    if name then look(name, natives[name], false) end
  end
  -- Before the first sweep not everybody is known there.
  for name, native in pairs(natives) do
    if not known['${NAME_FIELD}' .. name] and redis.call('EXISTS', stream .. ':state:' .. name) == 1 then
      look(name, native, false)
    end
  end
end

local age = 0
if furthest then
  local oldest = first
  if not id_before(furthest, first) then
    local page = redis.call('XRANGE', stream, '(' .. furthest, '+', 'COUNT', 1)
    oldest = page[1] and page[1][1]
  end
  if oldest then age = math.max(0, now - ms(oldest)) end
end
return answer(length, added, math.max(lag, 0), certain, age, slowest)
`,
)

export interface FiguresRequest {
  readonly keys: StreamKeys
  readonly abandonedAfterMs: number
  readonly of: readonly string[]
}

/** What the script answers, with how many events the slowest reader has done since the stream's beginning. */
export interface FiguresAnswer {
  readonly figures: PressureFigures
  readonly processed: number
}

export async function askFigures(
  session: Session,
  { keys, abandonedAfterMs, of }: FiguresRequest,
): Promise<FiguresAnswer> {
  const { stream, meta } = keys
  const age = Math.min(abandonedAfterMs, Number.MAX_SAFE_INTEGER).toFixed(0)
  const reply = await evaluate(session, figuresScript, [stream, meta], [age, ...of])
  return parseFigures(String(reply))
}

export function parseFigures(text: string): FiguresAnswer {
  const parts = text.split(' ')
  const [
    length = 0,
    added = 0,
    lagEvents = 0,
    known = 0,
    lagMs = 0,
    usedBytes = -1,
    maxBytes = -1,
  ] = parts.slice(0, 7).map(Number)
  const slowest = parts.slice(7).join(' ')
  const memory = usedBytes >= 0 && maxBytes > 0 ? { usedBytes, maxBytes } : undefined
  return {
    figures: {
      length,
      slowest: slowest === '' ? undefined : slowest,
      lagEvents,
      isLagKnown: known === 1,
      lagMs,
      memory,
    },
    processed: added - lagEvents,
  }
}
