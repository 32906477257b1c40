import { defineScript, type Extension, type Script } from '@millrace/runtime'
import type { Capability, MigrationMode, MigrationRecord, MigrationState } from './state.ts'

/** The companion keys of a poller's migration. */
export interface MigrationKeys {
  readonly record: string
  readonly lease: string
  readonly audit: string
  readonly items: string
}

export function migrationKeys(poller: string): MigrationKeys {
  const record = `migration:${poller}`
  return { record, lease: `${record}:lease`, audit: `${record}:audit`, items: `${record}:items` }
}

/** One line of the audit trail. */
export interface AuditEntry {
  /** By the server's clock, in milliseconds since 1970. */
  readonly atMs: number
  readonly who: string
  readonly why: string
  readonly from: MigrationState
  readonly to: MigrationState
  readonly epoch: number
}

/** Numbers are texts there: Lua's JSON would round them. */
type StoredAuditEntry = Omit<AuditEntry, 'atMs' | 'epoch'> & Record<'atMs' | 'epoch', string>

/** So many switches are remembered. */
const AUDIT_LENGTH = 200

const lookScript: Script = defineScript(
  'migration-look',
  `
--[[ Answers a poller's record as names and values. Changes nothing.
KEYS 1 record
]]
return redis.call('HGETALL', KEYS[1])
`,
)

const switchScript: Script = defineScript(
  'migration-switch',
  `#!lua flags=allow-oom
--[[ Sets what is wanted of a poller, and raises its epoch, if the epoch is the one that the caller saw.
KEYS 1 record, 2 audit
ARGV 1 epoch seen, 2 from, 3 to, 4 who, 5 why, 6 why it falls back to polling, or ''
Answers 1, or 0 when the epoch is another one
]]
local epoch = tonumber(redis.call('HGET', KEYS[1], 'epoch') or '0')
if epoch ~= tonumber(ARGV[1]) then return 0 end
local time = redis.call('TIME')
redis.call('HSET', KEYS[1], 'state', ARGV[3], 'epoch', epoch + 1, 'fallback', ARGV[6], 'waiting', '')
redis.call('LPUSH', KEYS[2], cjson.encode({
  atMs = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000)),
  from = ARGV[2], to = ARGV[3], who = ARGV[4], why = ARGV[5], epoch = tostring(epoch + 1)}))
redis.call('LTRIM', KEYS[2], 0, ${AUDIT_LENGTH - 1})
return 1
`,
)

const auditScript: Script = defineScript(
  'migration-audit',
  `
--[[ Answers the audit trail, the newest first. Changes nothing.
KEYS 1 audit
]]
return redis.call('LRANGE', KEYS[1], 0, -1)
`,
)

/** A record, and what only its holder uses. */
export interface StoredMigration {
  readonly record: MigrationRecord
  readonly step: number
  /** The position's cursor as stored. */
  readonly cursor: string
  /** In the mode `stream`: where the consumer began, and up to where the position counts its events. */
  readonly startId: string
  readonly notedId: string
  readonly cut: string
  /** `1` while the stream may have a Consumer of this poller: from before it is made until it was removed. */
  readonly consumer: string
  /** Of a snapshot: how many fetches the bridge had completed before the poller's last one began. */
  readonly bridgeFetches: number
  readonly report: string
}

export async function lookAtMigration<Input>(
  extension: Extension<Input>,
  poller: string,
  signal?: AbortSignal,
): Promise<StoredMigration> {
  const { record } = migrationKeys(poller)
  const flat = (await extension.run(lookScript, [record], [], { signal })) as string[]
  const fields: Partial<Record<string, string>> = {}
  for (let i = 0; i + 1 < flat.length; i += 2) fields[flat[i] ?? ''] = flat[i + 1] ?? ''
  return {
    record: {
      poller,
      state: (fields['state'] ?? 'poll') as MigrationState,
      epoch: Number(fields['epoch'] ?? 0),
      acting: {
        mode: (fields['mode'] ?? 'poll') as MigrationMode,
        epoch: Number(fields['actingEpoch'] ?? 0),
      },
      waiting: fields['waiting'] ?? '',
      fallback: fields['fallback'] ?? '',
      capability: capabilityOf(fields['kind']),
    },
    step: Number(fields['step'] ?? 0),
    cursor: fields['cursor'] ?? '',
    startId: fields['startId'] ?? '',
    notedId: fields['notedId'] ?? '',
    cut: fields['cut'] ?? '',
    consumer: fields['consumer'] ?? '',
    bridgeFetches: Number(fields['bridgeFetches'] ?? 0),
    report: fields['report'] ?? '',
  }
}

/** Answers false when somebody else switched meanwhile. */
export async function storeSwitch<Input>(
  extension: Extension<Input>,
  record: MigrationRecord,
  entry: Pick<AuditEntry, 'to' | 'who' | 'why'>,
  fallback: string,
  signal?: AbortSignal,
): Promise<boolean> {
  const keys = migrationKeys(record.poller)
  const args = [record.epoch, record.state, entry.to, entry.who, entry.why, fallback]
  const reply = await extension.run(switchScript, [keys.record, keys.audit], args, { signal })
  return reply === 1
}

export async function readAudit<Input>(
  extension: Extension<Input>,
  poller: string,
  signal?: AbortSignal,
): Promise<AuditEntry[]> {
  const keys = migrationKeys(poller)
  const lines = (await extension.run(auditScript, [keys.audit], [], { signal })) as string[]
  return lines.map((line) => {
    const { atMs, who, why, from, to, epoch } = JSON.parse(line) as StoredAuditEntry
    return { atMs: Number(atMs), who, why, from, to, epoch: Number(epoch) }
  })
}

function capabilityOf(kind: string | undefined): Capability | undefined {
  return kind === undefined ? undefined : { kind: kind as Capability['kind'] }
}
