import { defineScript, type Script } from '../connection/script.ts'
import { countingLua, removalLua } from '../retention/removal-lua.ts'
import { positionsLua } from '../retention/positions-lua.ts'
import { streamNowLua } from '../retention/stream-now-lua.ts'

/** What earlier parts have counted lies behind; nothing of it was removed. */
const COUNT_FROM_CURSOR = `
pending_from = '(' .. cursor
begin_to_count(readers)
if cursor ~= '0-0' then
  local behind = cut_of(cursor, false)
  while breaks[passed + 1] and not cut_before(behind, breaks[passed + 1]) do pass(breaks[passed + 1]) end
end
`

const ANSWER_COUNTS = `
-- Where not all pending entries were looked at, everything up to the last one that was is counted.
if more and budget.entries > 0 and budget.bytes > 0 and id_before(cursor, limit.id) then cursor = limit.id end
local gone = cut_of(cursor, false)
while breaks[passed + 1] and not cut_before(gone, breaks[passed + 1]) do pass(breaks[passed + 1]) end
for _, reader in ipairs(readers) do
  if reader.open == 0 then count_unread(reader) end
  for _, value in ipairs({reader.name, reader.kind, whole(reader.expired)}) do unread[#unread + 1] = value end
end
`

const REMOVE_AND_ANSWER = `
settle_expired(readers)
if removed > 0 then redis.call('HSET', meta, 'trimmed', trimmed) end
for _, reader in ipairs(readers) do
  for _, value in ipairs({reader.name, reader.kind, whole(reader.expired)}) do unread[#unread + 1] = value end
end
`

/** Removes what lies before a place, and counts for each reader what it had not processed. */
export const trimScript: Script = defineScript('admin-trim', trimLua('', removalLua, 'trim'))

/** Only counts what would be removed. */
export const trimDryRunScript: Script = defineScript(
  'admin-trim-dry-run',
  trimLua("local cursor = ARGV[4] ~= '' and ARGV[4] or '0-0'", countingLua, 'count'),
)

function trimLua(locals: string, work: string, mode: 'count' | 'trim'): string {
  return `#!lua flags=allow-oom
--[[ One part of trimming a stream by hand, or of counting what that would do.
KEYS 1 stream, 2 meta
ARGV 1 id before which everything goes or '', 2 number of events to keep or '', 3 number of events counted
  by earlier parts, 4 last id counted by them or '', 5 a silence that is never reached, 6 most entries in this
  call, 7 most pending entries of a group to look at in this call
Answers {'NONE'} when there is no stream, or {'OK', '1' if there is more to do, entries of this call, last id of
  them, their bytes, where to go on counting, {name, kind, number unread, ...}}
The states of the stream's readers carry its hash tag
]]
${streamNowLua}
local info = fields_of(redis.call('XINFO', 'STREAM', stream))
local length, last = info['length'], info['last-generated-id']
local trimmed = known['trimmed'] or '0-0'
if id_before(last, trimmed) then trimmed = '0-0' end
${locals}
${positionsLua}
${work}
local bytes = budget.bytes
local readers = all_readers()
${mode === 'count' ? COUNT_FROM_CURSOR : ''}
local most = length - tonumber(ARGV[3])
if ARGV[2] ~= '' then most = most - tonumber(ARGV[2]) end
local cut = ARGV[1] ~= '' and cut_of(ARGV[1], true) or cut_of(last, false)
expire(readers, cut, most)
local unread = {}
${mode === 'count' ? ANSWER_COUNTS : REMOVE_AND_ANSWER}
return {'OK', more and '1' or '', removed, trimmed, bytes - budget.bytes, ${mode === 'count' ? 'cursor' : "''"}, unread}
`
}
