import { FOREIGN_FIELD, LETTERS_FIELD, NAME_FIELD } from './names.ts'

/**
 * Lua that finds everybody who reads a stream, and up to where each has processed everything. It stands
 * inside the sweep script and uses its locals.
 *
 * A cut is a place between two entries: after an id, or, when it is open, before it.
 */
export const positionsLua: string = `
local function cut_of(id, open)
  return {id = id, open = open}
end
local function cut_before(a, b)
  if a.id == b.id then return a.open and not b.open end
  return id_before(a.id, b.id)
end
local function lesser(a, b)
  return cut_before(a, b) and a or b
end

-- Of a reader: state (key), kind, position (after it everything is unread but what is done above it),
-- processed (the cut up to which nothing is unread), native (its native group), done (ranges, dead ids).
local function consumer_at(reader, state)
  reader.position = '0-0'
  -- A state of another incarnation says nothing: its owner will begin at the start.
  if state[2] == incarnation and state[3] and (not id_before(last, state[3]) or state[5] == state[3]) then
    reader.position = state[3]
    reader.is_current = true
  end
  reader.from = reader.position
  reader.processed = cut_of(reader.position, false)
end

local function group_at(reader, state)
  local native = reader.native
  if native then
    reader.position = native['last-delivered-id']
    reader.processed = cut_of(reader.position, false)
    if native['pending'] > 0 then
      local smallest = redis.call('XPENDING', stream, reader.name)[2]
      if smallest then reader.processed = lesser(reader.processed, cut_of(smallest, true)) end
    end
  else
    reader.position = state[2] == incarnation and state[3] or '0-0'
    reader.processed = cut_of(reader.position, false)
  end
  reader.from = reader.processed.id
  if state[2] == incarnation and state[3] and id_before(state[3], reader.from) then reader.from = state[3] end
end

-- A group of somebody else shows that it is alive by moving.
local function note_foreign(reader)
  local field = '${FOREIGN_FIELD}' .. reader.name
  local delivered, pending = reader.native['last-delivered-id'], reader.native['pending']
  local expired, at, count, since = (known[field] or ''):match('^(%d+)|([%d%-]+)|(%d+)|(%d+)$')
  if at ~= delivered or tonumber(count) ~= pending then
    redis.call('HSET', meta, field, table.concat({expired or '0', delivered, pending, whole(now)}, '|'))
    since = now
  end
  reader.field = field
  return tonumber(since)
end

local function all_readers()
  local all, abandoned, natives = {}, {}, {}
  local function add(name, native)
    local reader = {name = name, native = native, state = stream .. ':state:' .. name, open = 1, expired = 0}
    local state = redis.call('HMGET', reader.state, 'kind', 'incarnation', 'position', 'active', 'ahead')
    reader.kind = state[1] or 'foreign'
    local active
    if reader.kind == 'consumer' then
      consumer_at(reader, state)
    elseif reader.kind == 'group' then
      group_at(reader, state)
    elseif native then
      group_at(reader, {})
      active = note_foreign(reader)
    else
      -- Somebody has deleted its state and its native group: there is nobody of that name any more.
      redis.call('HDEL', meta, '${NAME_FIELD}' .. name)
      if redis.call('EXISTS', stream .. ':dead:' .. name, stream .. ':redrive:' .. name) > 0 then
        redis.call('HSET', meta, '${LETTERS_FIELD}' .. name, '1')
      end
      return
    end
    if reader.kind ~= 'foreign' then
      active = tonumber(state[4])
      if not known['${NAME_FIELD}' .. name] then redis.call('HSET', meta, '${NAME_FIELD}' .. name, reader.kind) end
      if not active then
        active = now
        redis.call('HSET', reader.state, 'active', whole(now))
      end
    end
    all[#all + 1] = reader
    if now - active > tonumber(ARGV[5]) then
      for _, value in ipairs({name, reader.kind, whole(active)}) do abandoned[#abandoned + 1] = value end
    end
  end
  for _, flat in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    local native = fields_of(flat)
    natives[native['name']] = true
    add(native['name'], native)
  end
  for field, _ in pairs(known) do
    local name = field:match('^${NAME_FIELD}(.*)$')
    if name and not natives[name] then add(name, nil) end
    local foreign = field:match('^${FOREIGN_FIELD}(.*)$')
    if foreign and not natives[foreign] then redis.call('HDEL', meta, field) end
  end
  return all, abandoned
end
`
