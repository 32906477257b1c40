/**
 * Lua with which whoever is alive says so in its state, in milliseconds by the server's clock: once a
 * minute, because beats are frequent and nobody is abandoned within minutes.
 */
export const activityLua: string = `
local clock
local function server_ms()
  if not clock then
    local time = redis.call('TIME')
    clock = time[1] .. string.format('%03d', math.floor(tonumber(time[2]) / 1000))
  end
  return clock
end
-- What to store in 'active', or nil while what is there is good enough.
local function sign_of_life(known)
  local since = tonumber(server_ms()) - (tonumber(known) or 0)
  if since < 0 or since >= 60000 then return server_ms() end
  return nil
end
`
