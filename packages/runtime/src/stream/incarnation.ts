import { randomBytes } from 'node:crypto'

let prefix: string | undefined
let count = 0

/**
 * A new incarnation that nobody else has: random for each process and counted within it, in characters
 * that can stand in a cursor. Every publish brings one along in case it creates the stream, and fresh
 * random bytes each time would cost an idle process more than all the rest of publishing.
 */
export function newIncarnation(): string {
  prefix ??= randomBytes(9).toString('base64url').replaceAll('-', '_')
  count += 1
  return `${prefix}${count.toString(36)}`
}

/**
 * Lua that every script includes which may create the stream. The incarnation tells whether saved
 * positions still mean anything: it is renewed by whoever finds the key absent and creates it in the
 * same script. (A trimmed or emptied stream still exists, and keeps it.)
 */
export const incarnationLua: string = `
local function incarnation_of(stream, meta, candidate, tag)
  if redis.call('EXISTS', stream) == 1 then
    local known = redis.call('HGET', meta, 'incarnation')
    if known then return known end
  else
    redis.call('HDEL', meta, 'floor', 'trimmed', 'swept')
  end
  redis.call('HSET', meta, 'incarnation', candidate, 'format', '1', 'partitions', '1', 'tag', tag)
  return candidate
end
`

/** Lua that compares and steps ids; both parts may exceed what a Lua number holds, so ids stay text. */
export const streamIdLua: string = `
local function id_before(a, b)
  if a == b then return false end
  local am, as = a:match('^(%d+)%-(%d+)$')
  local bm, bs = b:match('^(%d+)%-(%d+)$')
  if #am ~= #bm then return #am < #bm end
  if am ~= bm then return am < bm end
  if #as ~= #bs then return #as < #bs end
  return as < bs
end
`
