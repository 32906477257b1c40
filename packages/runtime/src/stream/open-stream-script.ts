import { MillraceError } from '../errors.ts'
import { defineScript, evaluate, type Script } from '../connection/script.ts'
import type { Session } from '../connection/session.ts'
import type { StreamKeys } from './keys.ts'
import { compareIds, FIRST_ID } from './stream-id.ts'

const openStream: Script = defineScript(
  'open-stream',
  `
--[[ Looks at an event stream and refuses one that is defined otherwise. Creates nothing.
KEYS 1 stream, 2 meta
ARGV 1 tag
Answers {incarnation or '', entries-added, last-generated-id, length, first id, greatest id trimmed},
  or {'MISMATCH', what, there}, or {'TYPE', key, type}
]]
for i = 1, 2 do
  local kind = redis.call('TYPE', KEYS[i])['ok']
  local wanted = i == 1 and 'stream' or 'hash'
  if kind ~= 'none' and kind ~= wanted then return {'TYPE', KEYS[i], kind} end
end
local meta = redis.call('HMGET', KEYS[2], 'incarnation', 'format', 'partitions', 'tag', 'trimmed')
if meta[1] then
  if meta[2] ~= '1' then return {'MISMATCH', 'format', meta[2] or ''} end
  if meta[3] ~= '1' then return {'MISMATCH', 'partitions', meta[3] or ''} end
  if meta[4] ~= ARGV[1] then return {'MISMATCH', 'tag', meta[4] or ''} end
end
if redis.call('EXISTS', KEYS[1]) == 0 then return {meta[1] or '', 0, '0-0', 0, '0-0', '0-0'} end
local info = redis.call('XINFO', 'STREAM', KEYS[1])
local by = {}
for i = 1, #info, 2 do by[info[i]] = info[i + 1] end
local first = by['first-entry'] and by['first-entry'][1] or '0-0'
return {meta[1] or '', by['entries-added'], by['last-generated-id'], by['length'], first, meta[5] or '0-0'}
`,
)

/** What a stream looked like at one moment. */
export interface StreamFigures {
  /** '' when nobody has created the stream through Millrace yet. */
  readonly incarnation: string
  readonly entriesAdded: number
  readonly lastId: string
  readonly length: number
  /** `0-0` when it is empty. */
  readonly firstId: string
  /** The greatest id that retention has removed; `0-0` when it has removed nothing. */
  readonly trimmed: string
}

/**
 * Reads a stream's figures and makes sure that it is the one that was defined.
 * @throws MillraceError `STREAM_MISMATCH` or `KEY_TYPE`
 */
export async function readFigures(
  session: Session,
  keys: StreamKeys,
  name: string,
): Promise<StreamFigures> {
  const reply = (await evaluate(
    session,
    openStream,
    [keys.stream, keys.meta],
    [keys.tag],
  )) as unknown[]
  if (reply[0] === 'TYPE') {
    throw new MillraceError(
      'KEY_TYPE',
      `The key ${String(reply[1])} of event stream ${name} holds a ${String(reply[2])}`,
      { stream: name },
    )
  }
  if (reply[0] === 'MISMATCH') {
    throw new MillraceError(
      'STREAM_MISMATCH',
      `Event stream ${name} was created with another ${String(reply[1])}: ${String(reply[2])}`,
      { stream: name },
    )
  }
  return {
    incarnation: String(reply[0]),
    entriesAdded: Number(reply[1]),
    lastId: String(reply[2]),
    length: Number(reply[3]),
    firstId: String(reply[4]),
    // Beyond the last id it is that of a stream that somebody made anew without a word.
    trimmed: compareIds(String(reply[5]), String(reply[2])) > 0 ? FIRST_ID : String(reply[5]),
  }
}
