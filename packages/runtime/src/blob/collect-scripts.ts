import { defineScript, evaluate, type Script } from '../connection/script.ts'
import type { Session } from '../connection/session.ts'
import { LETTERS_FIELD, NAME_FIELD } from '../retention/names.ts'
import type { StreamKeys } from '../stream/keys.ts'
import { NAMESPACE_FIELD } from './place-script.ts'
import { blobFields } from './reference.ts'

const horizonScript: Script = defineScript(
  'blob-horizon',
  `#!lua flags=allow-oom
--[[ Tells up to when no event of the stream can be, and who may have dead letters. Once in a period,
whoever comes first.
KEYS 1 stream, 2 meta
ARGV 1 period in ms
Answers {'NONE'} for a stream without blobs, {'LATER'}, or
  {'COLLECT', namespace, ms before which there is no event and no present, names ...}
]]
local stream, meta = KEYS[1], KEYS[2]
local known = {}
local flat = redis.call('HGETALL', meta)
for i = 1, #flat, 2 do known[flat[i]] = flat[i + 1] end
local namespace = known['${NAMESPACE_FIELD}']
-- A server that has lost its data, or is the wrong one, says nothing about what may go.
if not namespace or not known['incarnation'] or redis.call('EXISTS', stream) == 0 then return {'NONE'} end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local since = now - (tonumber(known['collected']) or 0)
if since >= 0 and since < tonumber(ARGV[1]) then return {'LATER'} end
redis.call('HSET', meta, 'collected', string.format('%.0f', now))

local horizon = now
local oldest = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
if oldest then horizon = math.min(horizon, tonumber(oldest[1]:match('^%d+'))) end
local names = {}
for _, group in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
  for i = 1, #group, 2 do if group[i] == 'name' then names[group[i + 1]] = true end end
end
for field, _ in pairs(known) do
  local name = field:match('^${NAME_FIELD}(.*)$')
  if name then names[name] = true end
  local gone = field:match('^${LETTERS_FIELD}(.*)$')
  if gone then
    if redis.call('EXISTS', stream .. ':dead:' .. gone, stream .. ':redrive:' .. gone) > 0 then
      names[gone] = true
    else
      redis.call('HDEL', meta, field)
    end
  end
end
local answer = {'COLLECT', namespace, string.format('%.0f', horizon)}
for name, _ in pairs(names) do answer[#answer + 1] = name end
return answer
`,
)

const referencesScript: Script = defineScript(
  'blob-references',
  `
--[[ The blobs that entries of a dead-letter or redrive stream refer to, as far as one call looks.
KEYS 1 stream of dead letters or of redriven events
ARGV 1 where to begin
Answers {where to go on or '', entries ever added, blob keys ...}
]]
local answer = {'', 0}
if redis.call('EXISTS', KEYS[1]) == 0 then return answer end
local info = redis.call('XINFO', 'STREAM', KEYS[1])
for i = 1, #info, 2 do if info[i] == 'entries-added' then answer[2] = info[i + 1] end end
local from, entries, bytes = ARGV[1], 0, 0
repeat
  local page = redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', 16)
  for _, entry in ipairs(page) do
    from = '(' .. entry[1]
    local fields = entry[2]
    for i = 1, #fields, 2 do
      bytes = bytes + #fields[i + 1]
      if fields[i] == '${blobFields.key}' then answer[#answer + 1] = fields[i + 1] end
    end
  end
  entries = entries + #page
  if #page < 16 then return answer end
until entries >= 512 or bytes > 4194304
answer[1] = from
return answer
`,
)

export interface Horizon {
  readonly namespace: string
  /** No event of the stream has an earlier time in its id, and it has passed at the server. */
  readonly beforeMs: number
  /** Everybody who may have dead letters or redriven events. */
  readonly names: readonly string[]
}

/** Undefined when there is nothing to do now. */
export async function blobHorizon(
  session: Session,
  { stream, meta }: StreamKeys,
  periodMs: number,
): Promise<Horizon | undefined> {
  const reply = (await evaluate(session, horizonScript, [stream, meta], [periodMs])) as unknown[]
  const [outcome, namespace, beforeMs, ...names] = reply.map(String)
  if (outcome !== 'COLLECT' || namespace === undefined) return undefined
  return { namespace, beforeMs: Number(beforeMs), names }
}

/** The blobs that entries of a stream refer to, page by page; `added` counts its entries ever added. */
export async function references(
  session: Session,
  key: string,
  from: string,
): Promise<{ readonly next: string; readonly added: number; readonly blobs: readonly string[] }> {
  const reply = (await evaluate(session, referencesScript, [key], [from])) as unknown[]
  const [next = '', added, ...blobs] = reply.map(String)
  return { next, added: Number(added), blobs }
}
