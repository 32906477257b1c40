import { startFaultProxy, startRedis } from '@millrace/testkit'
import { expect, it } from 'vitest'
import { channels } from '../../../src/diagnostics.ts'
import type { ProducerOptions, PublishResult } from '../../../src/producer/options.ts'
import { Producer } from '../../../src/producer/producer.ts'
import { entriesOf, numbers, openRig } from '../rig.ts'
import { KEY, type SpoolDirectory, spoolDirectory, stream } from './spool-rig.ts'

const ways: readonly [name: string, options: (directory: SpoolDirectory) => ProducerOptions][] = [
  ['waits', () => ({})],
  [
    'spools',
    ({ path }) => ({
      producerId: 'tower',
      whenUnavailable: 'spool',
      spool: { directory: path, afterMs: 10 },
    }),
  ],
]

it.each(ways)(
  'stores 40,000 events once and in order while every 20th reply is lost, by a producer that %s',
  async (_, optionsOf) => {
    await using redis = await startRedis()
    await using proxy = await startFaultProxy(redis)
    using directory = spoolDirectory()
    using rig = openRig(proxy.url, 60_000)
    await using producer = new Producer<{ n: number }, PublishResult>(
      rig.core,
      stream,
      optionsOf(directory),
    )
    let stalls = 0
    const off = channels.publishStalled.subscribe(() => stalls++)
    proxy.dropEveryNthReply(20)
    const all = numbers(40_000)
    for (let n = 0; n < all.length; n += 80) await producer.publishMany(all.slice(n, n + 80))
    proxy.dropEveryNthReply(0)
    await producer.close({ deadlineMs: 60_000 })
    off()
    expect(stalls).toBeGreaterThan(20)
    const entries = await entriesOf(redis.client(), KEY)
    expect(entries.length).toBe(40_000)
    expect(entries.findIndex(({ fields }, i) => fields['data'] !== `{"n":${i}}`)).toBe(-1)
    expect(directory.files()).toEqual([])
  },
)
