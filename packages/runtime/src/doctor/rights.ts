import { defineScript, evaluate, type Script } from '../connection/script.ts'
import type { Session } from '../connection/session.ts'

/** Every command that Millrace sends, as rules for users name them; `docs/guarantees.md` has the same list. */
export const neededCommands: readonly string[] = (
  'client|setname client|unblock evalsha eval exists type time unlink pexpire hget hset hmget hgetall hdel ' +
  'hexists hincrby hrandfield info xadd xtrim xdel xlen xrange xrevrange xread xreadgroup xack xclaim xpending ' +
  'xgroup|create xgroup|setid xgroup|createconsumer xgroup|delconsumer xgroup|destroy xinfo|stream ' +
  'xinfo|groups xinfo|consumers memory|usage scan'
).split(' ')

const rightsScript: Script = defineScript(
  'doctor-rights',
  `
--[[ Asks what the user may not do; does nothing of it.
KEYS 1 a key that begins like those of streams
ARGV the commands
Answers {the commands that are refused ...}
]]
local arguments = {
  exists = {KEYS[1]}, unlink = {KEYS[1]}, scan = {'0'}, time = {}, info = {}, ['client|setname'] = {'name'}, ['client|unblock'] = {'1'},
  wait = {'1', '1'}, waitaof = {'1', '1', '1'},
  eval = {'return 1', '1', KEYS[1]}, evalsha = {'0', '1', KEYS[1]},
  xread = {'STREAMS', KEYS[1], '0'}, xreadgroup = {'GROUP', 'g', 'c', 'STREAMS', KEYS[1], '>'},
  xadd = {KEYS[1], '*', 'data', ''}, hset = {KEYS[1], 'f', ''}, hget = {KEYS[1], 'f'},
}
local refused = {}
for _, name in ipairs(ARGV) do
  local command, sub = name:match('^([^|]+)|?(.*)$')
  local words = {command}
  if sub ~= '' then words[2] = sub end
  for _, word in ipairs(arguments[name] or {KEYS[1], '0', '0', '0', '0'}) do words[#words + 1] = word end
  -- A command that the server does not have is refused as well.
  local known, allowed = pcall(redis.acl_check_cmd, unpack(words))
  if not known or not allowed then refused[#refused + 1] = name end
end
return refused
`,
)

/** The needed commands, and these others, that the user may not send on keys of this prefix. */
export async function refusedCommands(
  session: Session,
  key: string,
  others: readonly string[],
): Promise<string[]> {
  const reply = await evaluate(session, rightsScript, [key], [...neededCommands, ...others])
  return (reply as readonly unknown[]).map(String)
}
