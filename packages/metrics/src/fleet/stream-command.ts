import { createHash } from 'node:crypto'
import type { Command } from './node.ts'

/**
 * `XINFO STREAM … FULL` answers the first entry with its payload, and there is no way to be without it. Where
 * it is large, this leaves the payload in Redis and says how large it is.
 */
const LEAN_SOURCE = `--[[ What XINFO STREAM FULL COUNT 1 answers, but of the first entry only its id and its size.
KEYS 1 stream
]]
local reply = redis.call('XINFO', 'STREAM', KEYS[1], 'FULL', 'COUNT', 1)
for i = 1, #reply, 2 do
  if reply[i] == 'entries' and reply[i + 1][1] then
    local entry, bytes = reply[i + 1][1], 0
    for _, part in ipairs(entry[2]) do bytes = bytes + #part end
    reply[i + 1] = {{entry[1], bytes}}
  end
end
return reply
`
const LEAN_SHA = createHash('sha1').update(LEAN_SOURCE).digest('hex')

/** From this size on the payload of the first entry stays in Redis: it costs one command more. */
export const LARGE_ENTRY_BYTES = 16_384

/** Reads all figures of a stream and its groups. */
export function streamCommand(key: string): Command {
  return ['xinfo', 'stream', key, 'full', 'count', 1]
}

/** Likewise, without the payload of the first entry; runs one command inside. */
export function leanStreamCommand(key: string, usesSource: boolean): Command {
  return usesSource ? ['eval_ro', LEAN_SOURCE, 1, key] : ['evalsha_ro', LEAN_SHA, 1, key]
}
