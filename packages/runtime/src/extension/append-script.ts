import { defineScript, type Script } from '../connection/script.ts'
import { incarnationLua } from '../stream/incarnation.ts'
import { leaseLua } from './election-script.ts'

/**
 * Without `allow-oom` Redis refuses it up front when it is over `maxmemory`, and keeps that verdict until
 * the script ends, so it is done as a whole or not at all.
 */
export const appendStepScript: Script = defineScript(
  'extension-append',
  `#!lua
--[[ Appends events and stores what goes with them, in one step that is taken once: only by the holder of
the lease, and only if the step before it is the last one taken.
KEYS 1 stream, 2 meta, 3 lease, 4 ledger, 5 index
ARGV 1 token, 2 number of this step from 1, 3 nonce of this step, 4 candidate incarnation, 5 tag,
  6 number of events, 7 ledger fields to set, 8 index fields to set, 9 index fields to remove, then for
  each event the number of its names and values and these, then names and values for the ledger and for
  the index, then the names to remove from the index
Answers {'OK', first id or '', last id or '', '1' if the stream was created anew since the step before},
  the same when asked again; {'LOST'} when the lease is another's; {'STEP', last step} when it is not this
  step's turn
]]
${incarnationLua}
${leaseLua}
local call = redis.call
local stream, ledger = KEYS[1], KEYS[4]
local step = tonumber(ARGV[2])
local taken = call('HMGET', ledger, 'step', 'nonce', 'first', 'last', 'incarnation', 'anew')
local before = tonumber(taken[1] or '0') or 0
if before == step and taken[2] == ARGV[3] then return {'OK', taken[3], taken[4], taken[6]} end
if not holds_lease(KEYS[3], ARGV[1]) then return {'LOST'} end
if before ~= step - 1 then return {'STEP', before} end
-- Before anything is written: a key of another type must not leave half a step behind.
for _, at in ipairs({{1, 'stream'}, {2, 'hash'}, {5, 'hash'}}) do
  local kind = call('TYPE', KEYS[at[1]])['ok']
  if kind ~= 'none' and kind ~= at[2] then
    return redis.error_reply('WRONGTYPE ' .. KEYS[at[1]] .. ' holds a ' .. kind)
  end
end

local at = 10
local function list(count)
  local values = {}
  for i = 1, count do values[i] = ARGV[at + i - 1] end
  at = at + count
  return values
end

-- A step without events says nothing about the stream, which may not be there yet.
local incarnation, anew = taken[5] or '', ''
local first, last = '', ''
local events = tonumber(ARGV[6])
if events > 0 then
  local now = incarnation_of(stream, KEYS[2], ARGV[4], ARGV[5])
  anew = (incarnation ~= '' and incarnation ~= now) and '1' or ''
  incarnation = now
end
local next_id = '*'
for i = 1, events do
  at = at + 1
  last = call('XADD', stream, next_id, unpack(list(tonumber(ARGV[at - 1]))))
  if i == 1 then
    first = last
    next_id = string.match(last, '^%d+') .. '-*'
  end
end

local function each(count, width, write)
  local left = count
  while left > 0 do
    local some = math.min(left, 500)
    write(list(some * width))
    left = left - some
  end
end
each(tonumber(ARGV[7]), 2, function(pairs_of) call('HSET', ledger, unpack(pairs_of)) end)
each(tonumber(ARGV[8]), 2, function(pairs_of) call('HSET', KEYS[5], unpack(pairs_of)) end)
each(tonumber(ARGV[9]), 1, function(names) call('HDEL', KEYS[5], unpack(names)) end)
call('HSET', ledger, 'step', step, 'nonce', ARGV[3], 'first', first, 'last', last,
  'incarnation', incarnation, 'anew', anew)
if events > 0 then call('HSET', ledger, 'lastId', last) end
return {'OK', first, last, anew}
`,
)
