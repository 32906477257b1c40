/**
 * What the state of a consumer group says about one member, in one field so that a beat rewrites one
 * field: `member:<consumer name>` = `<token>|<beat>|<leaseMs>|<standing>|<detail>`.
 */
export interface MemberRecord {
  readonly token: string
  /** Raised by each beat; of a revoked member, when it was revoked, in seconds by the server's clock. */
  readonly beat: number
  readonly leaseMs: number
  readonly standing: Standing
  /** Of a live member its host, of a revoked one the consumer name of whoever revoked it. */
  readonly detail: string
  /** The record as it stands there, for compare-and-set. */
  readonly text: string
}

/**
 * - `live`: it beats; its entries are its own.
 * - `released`: it gave its entries back and reads no more; they are claimable at once.
 * - `revoked`: others have claimed its entries. The record stays, because a read that is still blocked
 *   under the name takes the next event.
 */
type Standing = 'live' | 'released' | 'revoked'

/** The prefix of the fields in the state that are member records. */
export const MEMBER_FIELD = 'member:'

/** Answers undefined for a text that is no record. */
export function parseMemberRecord(text: string): MemberRecord | undefined {
  const match = /^([^|]*)\|(\d+)\|(\d+)\|(live|released|revoked)\|(.*)$/s.exec(text)
  if (match === null) return undefined
  const [, token = '', beat, leaseMs, standing, detail = ''] = match
  return {
    token,
    beat: Number(beat),
    leaseMs: Number(leaseMs),
    standing: standing as Standing,
    detail,
    text,
  }
}

/** Lua on member records that the group's scripts include. */
export const memberRecordLua: string = `
local function member_of(state, name)
  local text = redis.call('HGET', state, '${MEMBER_FIELD}' .. name)
  if not text then return nil end
  local token, beat, lease, standing, detail = text:match('^([^|]*)|(%d+)|(%d+)|(%a+)|(.*)$')
  return {text = text, token = token, beat = beat, lease = lease, standing = standing, detail = detail}
end

local function write_member(state, name, token, beat, lease, standing, detail)
  redis.call('HSET', state, '${MEMBER_FIELD}' .. name,
    table.concat({token, beat, lease, standing, detail}, '|'))
end

local function server_seconds()
  return redis.call('TIME')[1]
end

-- 'OK', or why the caller may no longer write: 'GONE', 'REVOKED', 'RECREATED'
local function standing_of(state, name, token, stamp)
  local member = member_of(state, name)
  if not member then return 'GONE' end
  if member.token ~= token or member.standing ~= 'live' then return 'REVOKED' end
  local now = redis.call('HMGET', state, 'incarnation', 'generation')
  if (now[1] or '') .. '/' .. (now[2] or '') ~= stamp then return 'RECREATED' end
  return 'OK'
end
`

/** Lua that finds the native group, and moves pending entries without touching idle times and counts. */
export const nativeGroupLua: string = `
local function fields_of(flat)
  local by = {}
  for i = 1, #flat, 2 do by[flat[i]] = flat[i + 1] end
  return by
end

local function native_group(stream, name)
  if redis.call('EXISTS', stream) == 0 then return nil end
  for _, flat in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    local by = fields_of(flat)
    if by['name'] == name then return by end
  end
  return nil
end

-- Moves up to count entries; answers how many it looked at and how many had left the stream, and
-- appends id, idle and count of those that were moved.
local function move_pending(stream, group, from, to, count, moved)
  local page = redis.call('XPENDING', stream, group, '-', '+', count, from)
  local expired = 0
  for _, entry in ipairs(page) do
    local id, idle, times = entry[1], entry[3], entry[4]
    local got = redis.call('XCLAIM', stream, group, to, 0, id,
      'IDLE', idle, 'RETRYCOUNT', times, 'JUSTID')
    if #got == 0 then
      redis.call('XACK', stream, group, id)
      expired = expired + 1
    elseif moved then
      moved[#moved + 1] = id
      moved[#moved + 1] = idle
      moved[#moved + 1] = times
    end
  end
  return #page, expired
end
`
