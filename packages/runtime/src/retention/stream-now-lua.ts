import { streamIdLua } from '../stream/incarnation.ts'

/**
 * Lua that begins every script about what a stream may lose, with its KEYS 1 stream and 2 meta: ends with
 * `{'NONE'}` where there is no stream of ours, and else knows what `:meta` says and what time it is by the
 * server's clock.
 */
export const streamNowLua: string = `${streamIdLua}
local stream, meta = KEYS[1], KEYS[2]
local function fields_of(flat)
  local by = {}
  for i = 1, #flat, 2 do by[flat[i]] = flat[i + 1] end
  return by
end
local function whole(number)
  return string.format('%.0f', number)
end

local known = fields_of(redis.call('HGETALL', meta))
local incarnation = known['incarnation']
if not incarnation or redis.call('EXISTS', stream) == 0 then return {'NONE'} end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
`
