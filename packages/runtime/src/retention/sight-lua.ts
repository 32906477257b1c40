import { MEMBER_FIELD } from '../group/member-record.ts'

/**
 * Lua that sees who is at work under a name. Somebody counts as alive who is not known to have released; the
 * caller looks twice, a lease apart, and says the second time what it saw the first time.
 */
export const sightLua: string = `
-- What is seen of holder or members as text, '' for nobody, and the longest of their leases in ms.
local function sight_of(state, kind)
  local seen, longest = {}, 0
  if kind == 'consumer' then
    local f = redis.call('HMGET', state, 'token', 'released', 'beat', 'leaseMs')
    if f[1] and f[1] ~= '' and f[2] ~= '1' then
      seen[1] = f[1] .. ' ' .. f[3]
      longest = tonumber(f[4])
    end
  else
    local all = redis.call('HGETALL', state)
    for i = 1, #all, 2 do
      local lease, standing = all[i + 1]:match('^[^|]*|%d+|(%d+)|(%a+)|')
      if all[i]:match('^${MEMBER_FIELD}') and standing == 'live' then
        seen[#seen + 1] = all[i] .. ' ' .. all[i + 1]
        longest = math.max(longest, tonumber(lease))
      end
    end
    table.sort(seen)
  end
  return table.concat(seen, '\\n'), longest
end
`
