import { defineScript, type Extension, type Script } from '@millrace/runtime'
import { type Cursor, formatCursor, parseCursor } from '../change/cursor.ts'
import type { BridgeLife } from './life.ts'

/** The companion keys of a bridge. */
export interface BridgeKeys {
  readonly ledger: string
  readonly lease: string
  readonly items: string
}

export function bridgeKeys(name: string): BridgeKeys {
  return { ledger: `bridge:${name}`, lease: `bridge:${name}:lease`, items: `bridge:${name}:items` }
}

/** A place that the bridge has passed: everything at or before the cursor is at or before the id. */
export interface Border {
  readonly cursor: Cursor | undefined
  readonly id: string
  /** Of a snapshot: how many fetches were complete then. */
  readonly fetches: number
}

/** Where a bridge is, as it stands in Redis. */
export interface Ledger {
  /** The number of the last step. */
  readonly step: number
  /** Whether a bridge of this name has ever run. */
  readonly began: boolean
  /** Of the stream, at the last step with events; '' before that. */
  readonly incarnation: string
  /** Where it began; undefined is the source's beginning. */
  readonly from: Cursor | undefined
  readonly cursor: Cursor | undefined
  /** The id of the last event; '' before the first. */
  readonly lastId: string
  /** Whether nothing of a page was left for another step. */
  readonly atBorder: boolean
  /** The places that were passed before the last step. */
  readonly borders: readonly Border[]
  /** Of a snapshot: fetches that were begun, and those that are in the stream with all they brought. */
  readonly started: number
  readonly fetches: number
  /** For how long it has not been heard of, in milliseconds by the server's clock. */
  readonly silentMs: number
  /** Of whoever polls, or should. */
  readonly life: BridgeLife
}

const lookScript: Script = defineScript(
  'bridge-look',
  `
--[[ Tells where a bridge is. Changes nothing.
KEYS 1 ledger, 2 lease
Answers {step, began, from, cursor, last id, borders, started, fetches, ms since it was heard of or '',
  '1' at a border, incarnation, token and beat of the holder or '', its lease in ms}
]]
local f = redis.call('HMGET', KEYS[1], 'step', 'began', 'from', 'cursor', 'lastId', 'borders',
  'started', 'fetches', 'aliveMs', 'atBorder', 'incarnation', 'anew', 'before')
for i = 1, 13 do f[i] = f[i] or '' end
-- The last step found that the stream was created anew: what it held before is gone.
if f[12] == '1' then
  f[3] = f[13]
  f[6] = ''
end
if f[9] ~= '' then
  local time = redis.call('TIME')
  f[9] = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000) - tonumber(f[9]))
end
local l = redis.call('HMGET', KEYS[2], 'token', 'beat', 'released', 'leaseMs')
f[12] = l[1] and l[3] ~= '1' and l[1] .. ' ' .. (l[2] or '') or ''
f[13] = l[4] or '0'
return f
`,
)

const aliveScript: Script = defineScript(
  'bridge-alive',
  `#!lua flags=allow-oom
--[[ Notes that the source was asked and answered.
KEYS 1 ledger, 2 lease
ARGV 1 token
]]
if redis.call('HGET', KEYS[2], 'token') ~= ARGV[1] then return 0 end
local time = redis.call('TIME')
redis.call('HSET', KEYS[1], 'aliveMs',
  string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000)))
return 1
`,
)

const itemsScript: Script = defineScript(
  'known-items',
  `
--[[ Answers a part of a hash of known changes or items. Changes nothing.
KEYS 1 items
ARGV 1 cursor of HSCAN
Answers {next cursor, {name, value, ...}}
]]
return redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', 1000)
`,
)

/** Where the bridge is now. */
export async function lookAtBridge<Input>(
  extension: Extension<Input>,
  keys: BridgeKeys,
  signal?: AbortSignal,
): Promise<Ledger> {
  const names = [keys.ledger, keys.lease]
  const reply = (await extension.run(lookScript, names, [], { signal })) as string[]
  const [step, began, from, cursor, lastId = '', borders, started, fetches, silentMs, atBorder] =
    reply
  return {
    step: Number(step),
    began: began === '1',
    from: parseCursor(from),
    cursor: parseCursor(cursor),
    lastId,
    atBorder: atBorder === '1',
    incarnation: reply[10] ?? '',
    borders: parseBorders(borders ?? ''),
    started: Number(started),
    fetches: Number(fetches),
    silentMs: silentMs === '' ? Number.POSITIVE_INFINITY : Number(silentMs),
    life: { sign: reply[11] ?? '', leaseMs: Number(reply[12] ?? 0) },
  }
}

/** The source answered, with or without news; only the holder of the lease is believed. */
export async function noteAlive<Input>(
  extension: Extension<Input>,
  keys: BridgeKeys,
  token: string,
  signal: AbortSignal,
): Promise<void> {
  await extension.run(aliveScript, [keys.ledger, keys.lease], [token], { signal })
}

/** All fields of a hash of known changes or items, which nobody else writes meanwhile. */
export async function knownItems<Input>(
  extension: Extension<Input>,
  key: string,
  signal: AbortSignal,
): Promise<Map<string, string>> {
  const known = new Map<string, string>()
  let at = '0'
  do {
    const [next, fields] = (await extension.run(itemsScript, [key], [at], { signal })) as [
      string,
      string[],
    ]
    for (let i = 0; i + 1 < fields.length; i += 2) known.set(fields[i] ?? '', fields[i + 1] ?? '')
    at = next
  } while (at !== '0')
  return known
}

/** How many places are remembered; beyond that, of the older half every second one is forgotten. */
const MOST_BORDERS = 128

export function withBorder(borders: readonly Border[], border: Border): Border[] {
  const all = [...borders, border]
  if (all.length <= MOST_BORDERS) return all
  const older = all.slice(0, MOST_BORDERS / 2)
  return [...older.filter((_, i) => i % 2 === 0), ...all.slice(MOST_BORDERS / 2)]
}

export function formatBorders(borders: readonly Border[]): string {
  return JSON.stringify(
    borders.map(({ cursor, id, fetches }) => [formatCursor(cursor), id, fetches]),
  )
}

function parseBorders(stored: string): Border[] {
  if (stored === '') return []
  return (JSON.parse(stored) as [string, string, number][]).map(([cursor, id, fetches]) => ({
    cursor: parseCursor(cursor),
    id,
    fetches,
  }))
}
