import { defineScript, evaluate, type Script } from '../connection/script.ts'
import type { Core } from '../core.ts'
import type { StreamKeys } from '../stream/keys.ts'

const countScript: Script = defineScript(
  'admin-count',
  `
--[[ Counts events of a range, a part at a time: Redis has no command for it.
KEYS 1 stream
ARGV 1 where the part begins, 2 where the range ends, both as XRANGE takes them
Answers {number, where to go on or ''}
]]
local from, count, bytes = ARGV[1], 0, 0
repeat
  local page = redis.call('XRANGE', KEYS[1], from, ARGV[2], 'COUNT', 16)
  for _, entry in ipairs(page) do
    from = '(' .. entry[1]
    for _, text in ipairs(entry[2]) do bytes = bytes + #text end
  end
  count = count + #page
  if #page < 16 then return {count, ''} end
until count >= 4096 or bytes > 1048576
return {count, from}
`,
)

/** How many events a range has; the ends as XRANGE takes them. */
export async function countEvents(
  core: Core,
  keys: StreamKeys,
  from: string,
  to: string,
  signal: AbortSignal | undefined,
): Promise<number> {
  let count = 0
  for (let next = from; next !== ''; ) {
    const start = next
    const reply = (await core.connections.call(
      'data',
      keys.tag,
      (session) => evaluate(session, countScript, [keys.stream], [start, to]),
      { signal },
    )) as [unknown, unknown]
    count += Number(reply[0])
    next = String(reply[1])
  }
  return count
}
