import { defineScript, evaluate, type Script } from '../connection/script.ts'
import type { Session } from '../connection/session.ts'
import type { StreamKeys } from '../stream/keys.ts'
import { parsePauses, PAUSED_FIELD, type StreamPause } from './pauses.ts'

const pauseScript: Script = defineScript(
  'admin-pause',
  `#!lua flags=allow-oom
--[[ Adds or takes back one pause of a stream. Who and why of an earlier one for the same name are replaced,
since when it lasts is kept.
KEYS 1 meta
ARGV 1 name or *, 2 '1' to pause or '', 3 by, 4 reason
Answers all pauses as text
]]
local meta, name = KEYS[1], ARGV[1]
local lines, since = {}, nil
for line in (redis.call('HGET', meta, '${PAUSED_FIELD}') or ''):gmatch('[^\\n]+') do
  local target, at = line:match('^([^|]*)|(%d+)|')
  if target == name then since = at else lines[#lines + 1] = line end
end
if ARGV[2] == '1' then
  if not since then
    local time = redis.call('TIME')
    since = time[1] .. string.format('%03d', math.floor(tonumber(time[2]) / 1000))
  end
  lines[#lines + 1] = table.concat({name, since, ARGV[3], ARGV[4]}, '|')
end
local text = table.concat(lines, '\\n')
if text == '' then redis.call('HDEL', meta, '${PAUSED_FIELD}')
else redis.call('HSET', meta, '${PAUSED_FIELD}', text) end
return text
`,
)

/** Answers all pauses that stand then. */
export async function writePause(
  session: Session,
  { meta }: StreamKeys,
  request: {
    readonly name: string
    readonly paused: boolean
    readonly by: string
    readonly reason: string
  },
): Promise<StreamPause[]> {
  const { name, paused, by, reason } = request
  const args = [name, paused ? '1' : '', oneLine(by).replaceAll('|', '/'), oneLine(reason)]
  return parsePauses(String(await evaluate(session, pauseScript, [meta], args)))
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim()
}
