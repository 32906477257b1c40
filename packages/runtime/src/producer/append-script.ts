import { defineScript, type Script } from '../connection/script.ts'
import { incarnationLua, streamIdLua } from '../stream/incarnation.ts'

/** How long a producer epoch is remembered after its last batch, in seconds. */
export const RECORD_LIFETIME_SECONDS: number = 7 * 24 * 3600

/** After how many events of a producer the append script looks whether some may go. */
export const TRIM_EVERY: number = 128

/**
 * Appends one batch. Without `allow-oom` Redis refuses it up front when it is over `maxmemory`, and
 * keeps that verdict until the script ends, so memory never runs out half-way.
 *
 * Times are those of the server. The record of a producer epoch is a text:
 * `open|closed <last sequence> <time of last use in seconds>`, then a line for each batch that the
 * producer may still send again: `<first sequence> <count> <answer>`.
 */
export const appendScript: Script = defineScript(
  'append',
  `#!lua
--[[ Appends a batch of events, or nothing of it.
KEYS 1 stream, 2 meta, 3 producers, with idempotency keys 4 and 5 their hashes of even and odd days
ARGV 1 record (producer id:epoch), 2 first sequence, 3 number of events,
  4 sequence up to which the producer has seen every answer, 5 candidate incarnation, 6 tag,
  7 maximum age in ms or 0, 8 maximum length or 0, then runs of events with equal fields, each:
  number of events, number of fields, 1 with idempotency keys or 0, the names of the fields, and for
  each event its idempotency key (if with keys) and its values
Answers '<first new id or ->[ <index>:<id of the original> ...]' with the duplicates by idempotency
  key (the other events have the ids after the first, one by one), the same for a batch sent again;
  'GAP <last>' when events before it are missing; 'CLOSED' when the epoch was closed;
  'FORGOTTEN' for a batch so old that its answer is not kept
]]
local call = redis.call
local stream, meta, producers = KEYS[1], KEYS[2], KEYS[3]
local first, count, answered = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])

local record = call('HGET', producers, ARGV[1])
local last, lines = 0, ''
if record then
  local state, sequence, rest = string.match(record, '^(%a+) (%d+) %d+\\n(.*)$')
  if state ~= 'open' then return 'CLOSED' end
  last, lines = tonumber(sequence), rest
end
if first > last + 1 then return string.format('GAP %.0f', last) end
if first <= last then
  local answer = string.match('\\n' .. lines, '\\n' .. ARGV[2] .. ' ' .. ARGV[3] .. ' ([^\\n]*)\\n')
  return answer or 'FORGOTTEN'
end

-- Answers of batches that the producer may still send again; it has seen the others.
while lines ~= '' do
  local line, rest = string.match(lines, '^(%d+)[^\\n]*\\n(.*)$')
  if tonumber(line) > answered then break end
  lines = rest
end
local function keep_record(used, answer)
  call('HSET', producers, ARGV[1], string.format('open %.0f %s\\n', first + count - 1, used)
    .. lines .. ARGV[2] .. ' ' .. ARGV[3] .. ' ' .. answer .. '\\n')
end

-- A look at what may go costs as much as several events, so there is one only when the sequence passes a
-- multiple of TRIM_EVERY.
local look = math.floor((first - 1) / ${TRIM_EVERY}) ~= math.floor((first - 1 + count) / ${TRIM_EVERY})

-- One event to a stream that is there: nothing can fail half-way, and its id tells the time.
if count == 1 and record and not look and ARGV[11] == '0' then
  local id
  if ARGV[10] == '1' then
    id = call('XADD', stream, 'NOMKSTREAM', '*', ARGV[12], ARGV[13])
  else
    local fields, entry = tonumber(ARGV[10]), {}
    for f = 1, fields do
      entry[2 * f - 1], entry[2 * f] = ARGV[11 + f], ARGV[11 + fields + f]
    end
    id = call('XADD', stream, 'NOMKSTREAM', '*', unpack(entry))
  end
  if id then
    keep_record(string.match(id, '^(%d+)%d%d%d%-') or '0', id)
    return id
  end
end

${incarnationLua}${streamIdLua}
local now = tonumber(call('TIME')[1])
local known = call('HMGET', meta, 'incarnation', 'floor')
local floor = known[2]
local next_id, first_id
local new_keys, originals = {}, {}
local today, other

-- The hash whose day is over is emptied when its turn comes again, so a key lives one to two days.
local function turn_day()
  local day = math.floor(now / 86400)
  today, other = KEYS[4 + day % 2], KEYS[5 - day % 2]
  local kept = tonumber(call('HGET', today, '') or -1)
  if kept < day then
    call('UNLINK', today)
    call('HSET', today, '', day)
    call('PEXPIRE', today, 172800000)
  end
end

local function open_stream()
  if not known[1] or call('EXISTS', stream) == 0 then
    incarnation_of(stream, meta, ARGV[5], ARGV[6])
    floor = call('HGET', meta, 'floor')
  end
  next_id = '*'
end

-- One id for the batch, the others follow it in the same millisecond.
local function opened(id)
  first_id = id
  next_id = string.match(id, '^%d+') .. '-*'
end

local function append_all()
  local at, index = 9, 0
  while index < count do
    local events, fields, keyed = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), ARGV[at + 2] == '1'
    local names = at + 3
    at = names + fields
    if keyed and not today then turn_day() end
    local name1, name2 = ARGV[names], ARGV[names + 1]
    local entry
    if fields > 2 then
      entry = {}
      for f = 1, fields do entry[2 * f - 1] = ARGV[names + f - 1] end
    end
    for i = index, index + events - 1 do
      local key, original
      if keyed then
        key = ARGV[at]
        at = at + 1
        original = call('HGET', today, key) or call('HGET', other, key)
      end
      if original then
        originals[#originals + 1] = i .. ':' .. original
      else
        if not next_id then open_stream() end
        local id
        if fields == 1 then
          id = call('XADD', stream, next_id, name1, ARGV[at])
        elseif fields == 2 then
          id = call('XADD', stream, next_id, name1, ARGV[at], name2, ARGV[at + 1])
        else
          for f = 1, fields do entry[2 * f] = ARGV[at + f - 1] end
          id = call('XADD', stream, next_id, unpack(entry))
        end
        if not first_id then opened(id) end
        if key then
          call('HSET', today, key, id)
          new_keys[#new_keys + 1] = key
        end
      end
      at = at + fields
    end
    index = index + events
  end
end

-- Removes whole nodes before the bound, and one entry more: its id then is the greatest that has gone.
local function remove_before(bound, ...)
  local oldest = call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
  -- XREVRANGE that ends before the first entry goes through the whole stream.
  if not oldest or not id_before(oldest[1], bound) then return end
  local latest = call('XREVRANGE', stream, '(' .. bound, '-', 'COUNT', 1)[1]
  if call('XTRIM', stream, 'MINID', '~', latest[1], ...) == 0 then return end
  local first = call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
  call('XTRIM', stream, 'MAXLEN', '=', call('XLEN', stream) - 1)
  call('HSET', meta, 'trimmed', first[1])
end

-- Nothing is trimmed that somebody may still have to read: without a floor, nothing at all.
local function trim()
  local age, length = tonumber(ARGV[7]), tonumber(ARGV[8])
  if age > 0 then
    local oldest = string.format('%.0f-0', math.max(0, now * 1000 - age))
    remove_before(id_before(floor, oldest) and floor or oldest)
  end
  if length > 0 then
    local excess = call('XLEN', stream) - length
    if excess > 1 then remove_before(floor, 'LIMIT', excess - 1) end
  end
end

local function remove_old_records()
  local some = call('HRANDFIELD', producers, 8, 'WITHVALUES')
  for i = 1, #some, 2 do
    local used = tonumber(string.match(some[i + 1], '^%a+ %d+ (%d+)\\n'))
    if used and now - used > ${RECORD_LIFETIME_SECONDS} then call('HDEL', producers, some[i]) end
  end
end

local answer
local function work()
  append_all()
  if look and floor and first_id then trim() end
  if not record then remove_old_records() end
  answer = first_id or '-'
  if originals[1] then answer = answer .. ' ' .. table.concat(originals, ' ') end
  -- Last: once the record is there, the batch counts as appended.
  keep_record(string.format('%.0f', now), answer)
end

-- Nobody has seen these entries yet: readers are served when the script has ended.
local function undo()
  for _, key in ipairs(new_keys) do call('HDEL', today, key) end
  if not first_id then return end
  local ms, number = string.match(first_id, '^(%d+)%-(%d+)$')
  if #number < 16 then
    -- They lie one by one behind the first; reading them would need another right.
    while call('XDEL', stream, ms .. '-' .. number) == 1 do number = string.format('%.0f', number + 1) end
  else
    for _, entry in ipairs(call('XRANGE', stream, first_id, '+')) do call('XDEL', stream, entry[1]) end
  end
end

local ok, problem = pcall(work)
if not ok then
  -- Servers differ in whether pcall answers an error of theirs as a table or as its text.
  local text = type(problem) == 'table' and problem.err or tostring(problem)
  if not pcall(undo) then text = 'ERR half a batch could not be taken back: ' .. text end
  return redis.error_reply(string.match(text, '^%u+ ') and text or 'ERR ' .. text)
end
return answer
`,
)
