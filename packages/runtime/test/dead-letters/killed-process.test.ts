import { fork } from 'node:child_process'
import { once } from 'node:events'
import { waitFor } from '@millrace/testkit'
import { describe, expect, it } from 'vitest'
import { UnrecoverableError } from '../../src/index.ts'
import { type Reading, useRedis } from '../open-millrace.ts'
import { all, redriveAll, untilCount } from './letters.ts'

const bed = useRedis()
const program = new URL('redrive-process.ts', import.meta.url).pathname

describe('A process that is killed', () => {
  it.each(['consumer', 'group'] as const)(
    'while it handles a redriven event leaves it to another one: %s',
    async (kind) => {
      const millrace = await bed.open()
      const stream = bed.stream()
      await bed.append(stream, 3)
      const name = 'pool'
      const fails = (): never => {
        throw new UnrecoverableError('not today')
      }
      const first =
        kind === 'group'
          ? millrace.consumerGroup(stream, { name }).start(fails)
          : millrace.consumer(stream, { name }).start(fails)
      const letters = millrace.deadLetters(stream, name)
      await untilCount(letters, 3)
      await first.close()
      const child = fork(program, [bed.server.url, kind, stream.name, name], {
        execArgv: ['--conditions=millrace-source'],
      })
      const started = once(child, 'message')
      await redriveAll(letters, 3)
      await started
      const exited = once(child, 'exit')
      child.kill('SIGKILL')
      await exited
      const seen: [n: number, redriven: boolean, redelivered: boolean][] = []
      const options = { name, leaseMs: 600, maxAttempts: 1 }
      const handler = (
        { data: { n } }: { readonly data: Reading },
        { redriven, redelivered }: { readonly redriven: boolean; readonly redelivered: boolean },
      ): void => {
        seen.push([n, redriven, redelivered])
      }
      if (kind === 'group') millrace.consumerGroup(stream, options).start(handler)
      else millrace.consumer(stream, options).start(handler)
      await waitFor(() => seen.length === 3, { describe: 'all redriven events' })
      expect(seen.toSorted(([a], [b]) => a - b)).toEqual([
        [0, true, true],
        [1, true, true],
        [2, true, true],
      ])
      await waitFor(
        async () => {
          const { consumers, groups } = await millrace.inspect(stream)
          return [...consumers, ...groups].every(({ redriving }) => redriving === 0)
        },
        { describe: 'nothing to be left over' },
      )
      expect(await letters.count()).toBe(0)
    },
  )

  it.each(['consumer', 'group'] as const)(
    'by a redriven event each time is rid of it in the end, and its neighbours are not blamed: %s',
    async (kind) => {
      const millrace = await bed.open()
      const stream = bed.stream()
      const ids = await bed.append(stream, 5)
      const name = 'pool'
      const fails = (): never => {
        throw new UnrecoverableError('not today')
      }
      const first =
        kind === 'group'
          ? millrace.consumerGroup(stream, { name }).start(fails)
          : millrace.consumer(stream, { name }).start(fails)
      const letters = millrace.deadLetters(stream, name)
      await untilCount(letters, 5)
      await first.close()
      await redriveAll(letters, 5)
      const handled = new Set<number>()
      let deaths = 0
      // One death that nobody is blamed for, and the recorded attempts.
      while ((await letters.count()) === 0 && deaths < 8) {
        const child = fork(program, [bed.server.url, kind, stream.name, name, '2'], {
          execArgv: ['--conditions=millrace-source'],
        })
        child.on('message', (message: { done?: number }) => {
          if (message.done !== undefined) handled.add(message.done)
        })
        const exited = once(child, 'exit')
        const ended = Promise.race([exited, untilCount(letters, 1)])
        await ended
        if (child.signalCode === 'SIGKILL') deaths++
        else {
          await waitFor(() => handled.size === 4, { describe: 'the others' })
          child.kill('SIGTERM')
          await exited
        }
      }
      // Those that were recorded, and before them usually one; on a busy machine there was one more.
      expect(deaths).toBeGreaterThanOrEqual(3)
      expect(deaths).toBeLessThan(8)
      expect([...handled].toSorted((a, b) => a - b)).toEqual([0, 1, 3, 4])
      expect(await all(letters)).toMatchObject([
        { eventId: ids[2], reason: 'exhausted', attempts: 3, redrives: 1 },
      ])
    },
  )
})
