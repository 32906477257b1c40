import { defineScript, evaluate, type Script } from '../connection/script.ts'
import type { Core, StreamLike } from '../core.ts'
import { deadLetterFields } from '../delivery/dead-letter-fields.ts'
import { channels } from '../diagnostics.ts'
import { newNonce } from '../lease/token.ts'
import { throwIfAborted } from '../lifecycle/signals.ts'
import { streamIdLua } from '../stream/incarnation.ts'
import { startArgument } from '../stream/start-position.ts'
import { previousId } from '../stream/stream-id.ts'
import { countEvents } from './count-events.ts'
import { absent } from './missing.ts'
import type { ResolvedReplayOptions } from './options.ts'

/** The field of a state that says how far a replay has come. */
const REPLAY_FIELD = 'replay'

const replayScript: Script = defineScript(
  'admin-replay',
  `
--[[ Copies some events of the stream to the redrive stream of one consumer or consumer group, byte for byte.
Repeating it copies nothing twice: how far a replay has come stands in the state.
KEYS 1 stream, 2 state, 3 redrive
ARGV 1 replay, 2 position after which to begin, or 'latest', 3 last id, or '+', 4 most events on the redrive
  stream
Answers {'ABSENT'} or {outcome, last id looked at, events copied so far}: 'MORE', 'DONE', or 'FULL'
]]
${streamIdLua}
local stream, state, redrive = KEYS[1], KEYS[2], KEYS[3]
if not redis.call('HGET', state, 'kind') then return {'ABSENT'} end
if ARGV[2] == 'latest' then return {'DONE', '', 0} end
local copied, at, total = (redis.call('HGET', state, '${REPLAY_FIELD}') or ''):match('^(%S+) (%S+) (%d+)$')
total = copied == ARGV[1] and tonumber(total) or 0
if copied ~= ARGV[1] or id_before(at, ARGV[2]) then at = ARGV[2] end
-- This very part was copied before, and its answer was lost.
if at ~= ARGV[2] then return {'MORE', at, total} end

local waiting = redis.call('XLEN', redrive)
local outcome, bytes, entries = 'MORE', 0, 0
repeat
  if waiting >= tonumber(ARGV[4]) then
    local rest = redis.call('XRANGE', stream, '(' .. at, ARGV[3], 'COUNT', 1)
    outcome = rest[1] and 'FULL' or 'DONE'
    break
  end
  local most = math.min(16, tonumber(ARGV[4]) - waiting)
  local page = redis.call('XRANGE', stream, '(' .. at, ARGV[3], 'COUNT', most)
  for _, entry in ipairs(page) do
    local fields = entry[2]
    for _, text in ipairs(fields) do bytes = bytes + #text end
    fields[#fields + 1] = '${deadLetterFields.id}'
    fields[#fields + 1] = entry[1]
    redis.call('XADD', redrive, '*', unpack(fields))
    at = entry[1]
  end
  entries = entries + #page
  waiting = waiting + #page
  if #page < most then outcome = 'DONE' end
until outcome == 'DONE' or bytes > 1048576 or entries >= 512
total = total + entries
redis.call('HSET', state, '${REPLAY_FIELD}', table.concat({ARGV[1], at, string.format('%.0f', total)}, ' '))
return {outcome, at, total}
`,
)

export interface ReplayReport {
  readonly dryRun: boolean
  /** How many events were copied, or would be. */
  readonly events: number
  /** Whether the whole range was; otherwise the redrive list has grown too long meanwhile. */
  readonly complete: boolean
  /** The last event that was copied; another replay may begin after it. '' when there was none. */
  readonly lastId: string
}

/** @throws MillraceError `STATE_INVALID` */
export async function replayRange(
  core: Core,
  stream: StreamLike,
  name: string,
  { from, to, maxWaiting, dryRun, signal }: ResolvedReplayOptions,
): Promise<ReplayReport> {
  const keys = core.keysOf(stream)
  const start = startArgument(from)
  const end = endOf(to)
  if (dryRun) {
    const kind = await core.connections.call(
      'data',
      keys.tag,
      (session) => session.client.call('hget', keys.state(name), 'kind'),
      { signal },
    )
    if (kind === null) throw absent(name, stream.name)
    const events = start === 'latest' ? 0 : await countEvents(core, keys, `(${start}`, end, signal)
    return { dryRun, events, complete: true, lastId: '' }
  }
  const replay = newNonce()
  let after = start
  for (let before = 0; ; ) {
    throwIfAborted(signal, 'Replaying')
    const position = after
    const reply = (await core.connections.call(
      'data',
      keys.tag,
      (session) =>
        evaluate(
          session,
          replayScript,
          [keys.stream, keys.state(name), keys.redrive(name)],
          [replay, position, end, maxWaiting],
        ),
      { signal },
    )) as unknown[]
    const outcome = String(reply[0])
    if (outcome === 'ABSENT') throw absent(name, stream.name)
    const events = Number(reply[2])
    if (events > before) {
      channels.redriven.publish({ stream: stream.name, name, events: events - before })
    }
    before = events
    after = String(reply[1])
    if (outcome === 'MORE') continue
    const lastId = events > 0 ? after : ''
    return { dryRun, events, complete: outcome === 'DONE', lastId }
  }
}

function endOf(to: ResolvedReplayOptions['to']): string {
  if (to === undefined) return '+'
  return 'id' in to ? to.id : previousId(`${to.timeMs}-0`)
}
