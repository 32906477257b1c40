/**
 * Lua with which whoever is alive says so in its state, in milliseconds by the server's clock: once a
 * minute, because beats are frequent and nobody is abandoned within minutes.
 */
export const activityLua: string = `
local clock
local function server_ms()
  if not clock then
    local time = redis.call('TIME')
    clock = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
  end
  return clock
end
-- What to store in 'active', or nil while what is there is good enough.
local function sign_of_life(known)
  local since = server_ms() - (tonumber(known) or 0)
  if since < 0 or since >= 60000 then return string.format('%.0f', clock) end
  return nil
end
`
