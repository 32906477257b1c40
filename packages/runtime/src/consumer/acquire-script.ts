import { PAUSED_FIELD, pauseOf, type StreamPause } from '../admin/pauses.ts'
import { defineScript, evaluate, type Script } from '../connection/script.ts'
import type { Session } from '../connection/session.ts'
import { MillraceError } from '../errors.ts'
import { type Fence, fenceOf } from '../lease/token.ts'
import { activityLua } from '../retention/activity-lua.ts'
import { type ReportedGap, reportedGap } from '../retention/gap.ts'
import { NAME_FIELD } from '../retention/names.ts'
import { incarnationLua, newIncarnation, streamIdLua } from '../stream/incarnation.ts'
import type { StreamKeys } from '../stream/keys.ts'
import { parseAttempts } from './attempts.ts'
import { parseRanges, type Range } from './ranges.ts'

/**
 * How many events after the position are handled one by one, each start recorded before, once holders
 * have died there twice.
 */
const QUARANTINE_EVENTS = 64

const acquireScript: Script = defineScript(
  'consumer-acquire',
  `#!lua flags=allow-oom
--[[ Takes the lease of a consumer that is free, released, or whose holder is the one that is expected;
otherwise says who holds it. Creates stream, state and image where they are missing; after the stream
was created anew it stamps the new incarnation and begins at its start.
KEYS 1 stream, 2 meta, 3 state
ARGV 1 tag, 2 name, 3 incarnation for a new stream, 4 start: an id or 'latest', 5 nonce, 6 holder,
  7 lease in ms, 8 expected token or '', 9 expected beat or '' for any,
  10 incarnation and 11 position that an earlier tenure of the caller had, or '',
  12 '1' when the expected token is the caller's own
Answers {'HELD', token, beat, lease, holder}, {'KIND', kind}, {'FOREIGN'},
  or {'ACQUIRED', number of the token, position, incarnation, index, ranges, attempts, note, position before,
      '1' if a holder died, ids moved to the dead letters, events to handle in quarantine,
      gap or '', pauses or ''}
]]
${incarnationLua}
${streamIdLua}
${activityLua}
local stream, meta, state = KEYS[1], KEYS[2], KEYS[3]
local f = redis.call('HMGET', state, 'kind', 'token', 'released', 'beat', 'leaseMs', 'holder',
  'position', 'incarnation', 'index', 'ranges', 'attempts', 'counter', 'dead', 'deaths', 'diedAt',
  'quarantine', 'ahead', 'gap', 'expired')
local kind, token, released = f[1], f[2], f[3]
if kind and kind ~= 'consumer' then return {'KIND', kind} end
local held = token and token ~= '' and released ~= '1'
if held and (token ~= ARGV[8] or (ARGV[9] ~= '' and f[4] ~= ARGV[9])) then
  return {'HELD', token, f[4], f[5], f[6] or ''}
end

local existed = redis.call('EXISTS', stream) == 1
-- Asked by name: a stream may have thousands of groups.
local consumers = existed and redis.pcall('XINFO', 'CONSUMERS', stream, ARGV[2]) or {err = 'no stream'}
local group = not consumers['err']
if not kind and group and #consumers > 0 then return {'FOREIGN'} end

local incarnation = incarnation_of(stream, meta, ARGV[3], ARGV[1])
local last, added, holes, first_index = '0-0', 0, '0-0', '0'
if existed then
  local info = redis.call('XINFO', 'STREAM', stream)
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then last = info[i + 1] end
    if info[i] == 'entries-added' then added = info[i + 1] end
    if info[i] == 'length' then first_index = info[i + 1] end
    if info[i] == 'max-deleted-entry-id' then holes = info[i + 1] end
  end
  -- How many events lie before the first one, where none was deleted behind it.
  first_index = (holes == '0-0' or first_index == 0) and tostring(added - first_index) or ''
end

-- A start that is still to come lies beyond the last id; any other position does only if somebody who
-- knows nothing of incarnations made the stream anew.
local ahead = f[17] or ''
if kind and f[8] == incarnation and id_before(last, f[7]) and f[7] ~= ahead then
  incarnation = ARGV[3]
  redis.call('HSET', meta, 'incarnation', incarnation)
end

local note, before = '', f[7] or ''
local position, index = f[7], f[9] or ''
local ranges, attempts, dead = f[10] or '', f[11] or '', f[13] or ''
if not kind and ARGV[10] ~= '' then
  -- The state vanished under a consumer that knows where it was.
  note = ARGV[10] == incarnation and 'restored' or 'recreated'
  position = note == 'restored' and ARGV[11] or '0-0'
  before = ARGV[11]
  index = position == '0-0' and first_index or ''
  ranges, attempts, dead = '', '', ''
elseif not kind then
  note = 'created'
  position = ARGV[4]
  if position == 'latest' then position = last end
  ahead = id_before(last, position) and position or ''
  if position == '0-0' then index = first_index elseif position == last then index = tostring(added) else index = '' end
  ranges, attempts, dead = '', '', ''
elseif f[8] ~= incarnation then
  note = 'recreated'
  position, index, ranges, attempts, dead = '0-0', first_index, '', '', ''
end
if not group then
  if kind and note == '' then note = 'image' end
  local create = {'XGROUP', 'CREATE', stream, ARGV[2], position, 'MKSTREAM'}
  if index ~= '' then create[7] = 'ENTRIESREAD'; create[8] = index end
  redis.call(unpack(create))
elseif note ~= '' then
  if index ~= '' then
    redis.call('XGROUP', 'SETID', stream, ARGV[2], position, 'ENTRIESREAD', index)
  else
    redis.call('XGROUP', 'SETID', stream, ARGV[2], position)
  end
end
local retained = redis.call('HMGET', meta, 'floor', 'trimmed', '${PAUSED_FIELD}')
if retained[1] and id_before(position, retained[1]) then redis.call('HSET', meta, 'floor', position) end
redis.call('HSET', meta, '${NAME_FIELD}' .. ARGV[2], 'consumer')

-- Whoever asks for a place in the stream that is gone is told so; how much was there nobody knows.
local gap = kind and f[18] or ''
if not kind and position ~= '0-0' and retained[2] and id_before(position, retained[2])
  and not id_before(last, retained[2]) then
  gap = table.concat({position, retained[2], '', incarnation}, ',')
end

-- A holder that neither released nor is the caller died, as far as anybody can tell. Twice at one
-- position: something there may kill whoever handles it.
local died = held and ARGV[12] ~= '1'
local deaths, died_at, quarantine = tonumber(f[14] or '0') or 0, f[15] or '', tonumber(f[16] or '0') or 0
if died then
  deaths = died_at == position and deaths + 1 or 1
  died_at = position
  if deaths >= 2 or quarantine > 0 then quarantine = ${QUARANTINE_EVENTS} end
end

local counter = (tonumber(f[12] or '0') or 0) + 1
-- The number in the token rises by the server's clock as well: it may fence writes elsewhere that outlast
-- this state.
local number = string.format('%.0f', math.max((tonumber((token or ''):match('^(%d+)-')) or 0) + 1,
  tonumber(server_ms())))
redis.call('HSET', state, 'kind', 'consumer', 'name', ARGV[2], 'incarnation', incarnation,
  'position', position, 'index', index, 'ranges', ranges, 'attempts', attempts, 'dead', dead,
  'counter', counter, 'token', number .. '-' .. ARGV[5], 'holder', ARGV[6], 'leaseMs', ARGV[7],
  'beat', '0', 'released', '0', 'deaths', deaths, 'diedAt', died_at, 'quarantine', quarantine,
  'ahead', ahead, 'gap', gap, 'expired', f[19] or '0', 'active', server_ms())
return {'ACQUIRED', number, position, incarnation, index, ranges, attempts, note, before,
  died and '1' or '', dead, quarantine, gap, retained[3] or ''}
`,
)

export interface AcquireRequest {
  readonly name: string
  /** An id, or `latest`. */
  readonly start: string
  readonly nonce: string
  /** This process, as `formatHost` writes it. */
  readonly holder: string
  readonly leaseMs: number
  /** Take the lease from this holder, if it is still the one, and with this beat if one is given. */
  readonly expected?: { readonly token: string; readonly beat?: number }
  /** Whether the expected token is the caller's own. */
  readonly own: boolean
  /** Where an earlier tenure of this consumer was, for the case that the state itself vanished. */
  readonly known?: { readonly incarnation: string; readonly position: string }
}

/** The lease is ours, and this is where to go on. */
export interface Grant {
  readonly fence: Fence
  readonly position: string
  readonly incarnation: string
  /** How many events of the stream lie at or before the position; undefined when not known. */
  readonly index: number | undefined
  readonly ranges: readonly Range[]
  /** Ids above the position that were moved to the dead letters. */
  readonly dead: ReadonlySet<string>
  /** Attempts of failed events, by id. */
  readonly attempts: ReadonlyMap<string, number>
  /** What had to be mended or made; `restored`: the state had vanished. */
  readonly note: '' | 'created' | 'image' | 'recreated' | 'restored'
  readonly positionBefore: string
  /** Whether the lease was taken from another holder that had not released it. */
  readonly unclean: boolean
  /** How many events are to be handled one by one, each start recorded before; usually 0. */
  readonly quarantine: number
  /** Events that were removed before they were processed, and that nobody has been told of. */
  readonly gap: ReportedGap | undefined
  /** What pauses the consumer, if somebody who administers the stream wants that. */
  readonly pause: StreamPause | undefined
}

export type AcquireAnswer =
  | { readonly held: false; readonly grant: Grant }
  | {
      readonly held: true
      readonly token: string
      readonly beat: number
      readonly leaseMs: number
      readonly holder: string
    }

/** @throws MillraceError `NAME_IN_USE` */
export async function acquire(
  session: Session,
  keys: StreamKeys,
  request: AcquireRequest,
): Promise<AcquireAnswer> {
  const reply = (await evaluate(
    session,
    acquireScript,
    [keys.stream, keys.meta, keys.state(request.name)],
    [
      keys.tag,
      request.name,
      newIncarnation(),
      request.start,
      request.nonce,
      request.holder,
      request.leaseMs,
      request.expected?.token ?? '',
      request.expected?.beat ?? '',
      request.known?.incarnation ?? '',
      request.known?.position ?? '',
      request.own ? '1' : '',
    ],
  )) as (string | number)[]
  const text = reply.map(String)
  switch (text[0]) {
    case 'HELD':
      return {
        held: true,
        token: text[1] ?? '',
        beat: Number(text[2]),
        leaseMs: Number(text[3]),
        holder: text[4] ?? '',
      }
    case 'ACQUIRED':
      return { held: false, grant: grantOf(text, request.nonce, request.name) }
    case 'FOREIGN':
      throw new MillraceError(
        'NAME_IN_USE',
        `${request.name} is a Redis consumer group of somebody else, with consumers or pending entries`,
        { name: request.name },
      )
    default:
      throw new MillraceError(
        'NAME_IN_USE',
        `${request.name} is a ${text[1] ?? ''}, not a consumer; choose another name`,
        { name: request.name },
      )
  }
}

function grantOf(text: readonly string[], nonce: string, name: string): Grant {
  const [
    ,
    counter = '0',
    position = '0-0',
    incarnation = '',
    index = '',
    ranges = '',
    attempts = '',
  ] = text
  return {
    fence: fenceOf(Number(counter), nonce),
    position,
    incarnation,
    index: index === '' ? undefined : Number(index),
    ranges: parseRanges(ranges),
    dead: text[10] === undefined || text[10] === '' ? NONE : new Set(text[10].split(',')),
    attempts: parseAttempts(attempts),
    note: text[7] as Grant['note'],
    positionBefore: text[8] ?? '',
    unclean: text[9] === '1',
    quarantine: Number(text[11] ?? 0),
    gap: reportedGap(text[12] ?? '', incarnation),
    pause: pauseOf(text[13] ?? '', name),
  }
}

const NONE: ReadonlySet<string> = new Set()
