/**
 * Lua that removes entries from the old end of a stream and knows exactly what went. It stands inside the
 * sweep script, behind the Lua about positions, and uses its locals.
 *
 * Nothing is counted by reading entries: payloads may be large, and there may be millions. Whether
 * somebody has processed an entry changes only at a few places (its position, the ends of what is done
 * above it, each pending entry). From one such place to the next, all entries are alike, and XTRIM tells
 * how many it removed.
 */
export const removalLua: string = expiringLua(`
-- Asked first, because XREVRANGE that ends before the first entry goes through the whole stream.
local function is_any_before(cut)
  local oldest = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
  return oldest and not cut_before(cut, cut_of(oldest[1], false))
end

-- Removes entries before the cut, the oldest first, at most so many; answers how many. Whole nodes go at
-- once; what is read to know the greatest id is at most what one node holds.
local function remove_some(cut, most)
  budget.steps = budget.steps - 1
  if not is_any_before(cut) then return 0 end
  local latest = redis.call('XREVRANGE', stream, (cut.open and '(' or '') .. cut.id, '-', 'COUNT', 1)[1]
  weigh(latest)
  local count = 0
  if most > 1 then
    count = redis.call('XTRIM', stream, 'MINID', '~', latest[1], 'LIMIT', whole(most - 1))
  end
  local rest = redis.call('XRANGE', stream, '-', latest[1], 'COUNT', whole(most - count))
  for _, entry in ipairs(rest) do weigh(entry) end
  count = count + #rest
  length = length - count
  redis.call('XTRIM', stream, 'MAXLEN', '=', whole(length))
  trimmed = rest[#rest][1]
  budget.entries = budget.entries - count
  removed = removed + count
  return count
end
`)

/**
 * Lua that does all of this but the removing, for a dry run. It reads entries, a bounded number at a time, and
 * goes on behind the last one that it has looked at: `cursor`, a local of the script.
 */
export const countingLua: string = expiringLua(`
local function is_any_before(cut)
  local oldest = redis.call('XRANGE', stream, '(' .. cursor, '+', 'COUNT', 1)[1]
  return oldest and not cut_before(cut, cut_of(oldest[1], false))
end

local function remove_some(cut, most)
  local count = 0
  while count < most do
    local page = redis.call('XRANGE', stream, '(' .. cursor, (cut.open and '(' or '') .. cut.id,
      'COUNT', whole(math.min(most - count, 16)))
    for _, entry in ipairs(page) do weigh(entry) end
    count = count + #page
    if #page > 0 then cursor = page[#page][1] end
    if #page < 16 then break end
  end
  trimmed = cursor
  budget.entries = budget.entries - count
  removed = removed + count
  return count
end
`)

function expiringLua(touching: string): string {
  return `
local removed, more = 0, false
local pending_from = '-'
local budget = {entries = tonumber(ARGV[6]), steps = 512, bytes = 4194304}
local function out_of_budget()
  if budget.entries > 0 and budget.steps > 0 and budget.bytes > 0 then return false end
  more = true
  return true
end
local function weigh(entry)
  for _, text in ipairs(entry[2]) do budget.bytes = budget.bytes - #text end
end

${touching}local function remove_up_to(cut, most)
  while most > 0 and not out_of_budget() do
    local wanted = math.min(most, budget.entries)
    local count = remove_some(cut, wanted)
    if count < wanted then return end
    most = most - count
  end
end

-- The places where it changes whether somebody has processed an entry; from each on, step more reasons
-- say so. Pending entries are known only up to the limit.
local breaks, passed, limit

local function breaks_of(reader)
  local function at(id, open, step, ack)
    breaks[#breaks + 1] = {id = id, open = open, step = step, reader = reader, ack = ack}
  end
  local function done(from, to, step, ack)
    at(from, true, step)
    at(to, false, -step, ack)
  end
  at(reader.position, false, -1)
  if reader.is_current then
    local above = redis.call('HMGET', reader.state, 'ranges', 'dead')
    for from, to in (above[1] or ''):gmatch('([%d%-]+)>([%d%-]+)') do done(from, to, 1) end
    for id in (above[2] or ''):gmatch('[^,]+') do done(id, id, 1) end
  elseif reader.native and reader.native['pending'] > 0 then
    local page = redis.call('XPENDING', stream, reader.name, pending_from, '+', ARGV[7])
    for _, pending in ipairs(page) do done(pending[1], pending[1], -1, pending[1]) end
    if #page == tonumber(ARGV[7]) then limit = lesser(limit, cut_of(page[#page][1], false)) end
  end
end

local function begin_to_count(readers)
  breaks, passed, limit = {}, 0, cut_of(last, false)
  for _, reader in ipairs(readers) do breaks_of(reader) end
  table.sort(breaks, cut_before)
end

-- All that went since the reader was last up to date was unread by it.
local function count_unread(reader)
  local unread_now = removed - reader.since
  if unread_now == 0 then return end
  reader.expired = reader.expired + unread_now
  reader.to = trimmed
  reader.since = removed
end

local function pass(place)
  passed = passed + 1
  local reader = place.reader
  if reader.open == 0 then count_unread(reader) end
  reader.open = reader.open + place.step
  if reader.open == 0 then reader.since = removed end
  if place.ack then
    reader.acks = reader.acks or {}
    table.insert(reader.acks, place.ack)
  end
end

-- Like remove_up_to, past the floor.
local function expire(readers, cut, most)
  if most <= 0 or out_of_budget() then return end
  if not breaks then
    -- An abandoned position is past the cut for ever; what lies there has long gone.
    if not is_any_before(cut) then return end
    begin_to_count(readers)
  end
  local bound = lesser(cut, limit)
  while most > 0 do
    if out_of_budget() then return end
    local place = breaks[passed + 1]
    local is_place = place and not cut_before(bound, place)
    local wanted = math.min(most, budget.entries)
    local count = remove_some(is_place and place or bound, wanted)
    most = most - count
    if count < wanted then
      if not is_place then
        -- The rest of the pending entries have to be looked at first.
        if cut_before(limit, cut) then more = true end
        return
      end
      pass(place)
      while breaks[passed + 1] and not cut_before(place, breaks[passed + 1]) do pass(breaks[passed + 1]) end
    end
  end
end

local function remember_gap(reader)
  redis.call('HINCRBY', reader.state, 'expired', reader.expired)
  local from, count = reader.from, reader.expired
  local gap = redis.call('HGET', reader.state, 'gap') or ''
  local before, so_far, of = gap:match('^([%d%-]+),[%d%-]+,(%d*),(.*)$')
  if of == incarnation then
    from = before
    -- A gap of unknown size stays one.
    count = so_far ~= '' and count + tonumber(so_far) or nil
  end
  redis.call('HSET', reader.state, 'gap',
    table.concat({from, reader.to, count and whole(count) or '', incarnation}, ','))
end

local function settle_expired(readers)
  local counts = {}
  if not breaks then return counts end
  -- Where the budget ended right behind a pending entry.
  local gone = cut_of(trimmed, false)
  while breaks[passed + 1] and not cut_before(gone, breaks[passed + 1]) do pass(breaks[passed + 1]) end
  for _, reader in ipairs(readers) do
    if reader.open == 0 then count_unread(reader) end
    for i = 1, #(reader.acks or {}), 1000 do
      redis.call('XACK', stream, reader.name,
        unpack(reader.acks, i, math.min(i + 999, #reader.acks)))
    end
    if reader.expired > 0 then
      counts[#counts + 1] = reader.name
      counts[#counts + 1] = reader.expired
      if reader.field then
        local expired, rest = redis.call('HGET', meta, reader.field):match('^(%d+)(|.*)$')
        redis.call('HSET', meta, reader.field, whole(tonumber(expired) + reader.expired) .. rest)
      else
        remember_gap(reader)
      end
    end
  end
  return counts
end
`
}
