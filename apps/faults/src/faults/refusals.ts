import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { waitFor } from '@millrace/testkit'
import { type Fault, standalone, type StandaloneStage } from './fault.ts'

const REFUSED_MS = 3_000

/** What Redis answers when it is there and will not. */
export const refusalFaults: readonly Fault[] = [
  standalone({
    name: 'out-of-memory',
    about: `OOM for ${REFUSED_MS / 1_000} s: maxmemory reached, nothing is evicted`,
    short: true,
    async inject({ bed, pause }) {
      await bed.set('maxmemory', '1')
      await pause(REFUSED_MS)
      await bed.reset('maxmemory')
    },
  }),
  standalone({
    name: 'read-only',
    about: `READONLY for ${REFUSED_MS / 1_000} s: the server is made a replica of nobody`,
    short: true,
    async inject({ bed, pause }) {
      const client = bed.server.client()
      // Port 1 answers nobody, so nothing is ever copied over what the server has.
      await client.call('REPLICAOF', '127.0.0.1', '1')
      await pause(REFUSED_MS)
      await client.call('REPLICAOF', 'NO', 'ONE')
    },
  }),
  standalone({
    name: 'no-replicas',
    about: `NOREPLICAS for ${REFUSED_MS / 1_000} s: more replicas wanted than there are`,
    async inject({ bed, pause }) {
      await bed.set('min-replicas-to-write', '1')
      await pause(REFUSED_MS)
      await bed.reset('min-replicas-to-write')
    },
  }),
  standalone({
    name: 'misconf',
    about: `MISCONF for ${REFUSED_MS / 1_000} s: snapshots cannot be written`,
    async inject({ bed, pause }) {
      // A snapshot is written beside its file and then renamed, which a folder of that name prevents.
      await mkdir(join(bed.server.dir, 'blocked.rdb'), { recursive: true })
      await bed.set('dbfilename', 'blocked.rdb')
      await bed.set('save', '3600 1000000')
      const client = bed.server.client()
      await client.bgsave()
      await waitFor(
        async () => (await client.info('persistence')).includes('rdb_last_bgsave_status:err'),
        { describe: 'the snapshot to fail' },
      )
      await pause(REFUSED_MS)
      await bed.reset('save')
      await bed.reset('dbfilename')
    },
  }),
  standalone({
    name: 'busy',
    about: `BUSY for ${REFUSED_MS / 1_000} s: a script that does not end, then SCRIPT KILL`,
    async inject(stage) {
      await stage.bed.set('busy-reply-threshold', '100')
      await busy(stage)
      await stage.bed.reset('busy-reply-threshold')
    },
  }),
  standalone({
    name: 'loading',
    about: 'LOADING for about 3 s: Redis reads all its data anew, slowly',
    short: true,
    async inject({ bed }) {
      const client = bed.server.client()
      await client.eval("for i = 1, 1500 do redis.call('SET', 'ballast:' .. i, i) end return 1", 0)
      await client.call('CONFIG', 'SET', 'loading-process-events-interval-bytes', '1024')
      await bed.set('key-load-delay', '2000')
      await client.call('DEBUG', 'RELOAD')
      await bed.reset('key-load-delay')
    },
  }),
  standalone({
    name: 'no-permission-to-publish',
    about: `NOPERM for ${REFUSED_MS / 1_000} s: the user may not use XADD`,
    inject: (stage) => withoutRight(stage, ['xadd']),
  }),
  standalone({
    name: 'no-permission-to-read',
    about: `NOPERM for ${REFUSED_MS / 1_000} s: the user may use neither XREAD, XRANGE nor XREADGROUP`,
    inject: (stage) => withoutRight(stage, ['xread', 'xrange', 'xreadgroup']),
  }),
  standalone({
    name: 'no-permission-for-scripts',
    about: `NOPERM for ${REFUSED_MS / 1_000} s: the user may not run scripts`,
    inject: (stage) => withoutRight(stage, ['eval', 'evalsha']),
  }),
]

async function busy({ bed, pause }: StandaloneStage): Promise<void> {
  const { host, port } = bed.server
  const hog = new Redis({ host, port, maxRetriesPerRequest: 0 })
  try {
    const hogging = hog.eval('while true do end', 0).catch(() => undefined)
    await pause(REFUSED_MS)
    await bed.server.client().call('SCRIPT', 'KILL')
    await hogging
  } finally {
    hog.disconnect()
  }
}

async function withoutRight(
  { bed, pause }: StandaloneStage,
  commands: readonly string[],
): Promise<void> {
  const client = bed.server.client()
  await client.call('ACL', 'SETUSER', 'default', ...commands.map((command) => `-${command}`))
  await pause(REFUSED_MS)
  await client.call('ACL', 'SETUSER', 'default', ...commands.map((command) => `+${command}`))
}
