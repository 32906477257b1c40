import { describe, expect, it } from 'vitest'
import { waitFor } from '@millrace/testkit'
import { channels, type HeldLease } from '../../src/index.ts'
import { useRedis } from '../open-millrace.ts'

const bed = useRedis()

/** Works until it is told to end. */
function untilTold(held: HeldLease): Promise<void> {
  return new Promise((resolve) => {
    held.signal.addEventListener('abort', () => {
      resolve()
    })
  })
}

describe('an election', () => {
  it('lets one candidate at a time work, and the next one when it gives the lease back', async () => {
    const stream = bed.stream()
    const working = new Set<string>()
    const tokens: string[] = []
    const candidates = await Promise.all(
      ['a', 'b', 'c'].map(async (name) => {
        const leaving = new AbortController()
        const extension = (await bed.open()).extension(stream, 'test')
        const done = extension.elect(
          'lease',
          { leaseMs: 1_000, signal: leaving.signal },
          (held) => {
            working.add(name)
            tokens.push(held.token)
            expect(working.size).toBe(1)
            return untilTold(held).then(() => {
              working.delete(name)
            })
          },
        )
        return { name, leaving, done }
      }),
    )
    for (let turn = 1; turn <= 3; turn++) {
      await waitFor(() => working.size === 1 && tokens.length === turn, {
        describe: 'the next one to be elected',
      })
      const [name] = working
      const elected = candidates.find((one) => one.name === name)
      elected?.leaving.abort()
      await elected?.done
    }
    const counters = tokens.map((token) => Number(token.split('-')[0]))
    expect(counters).toEqual([1, 2, 3])
  })

  it('replaces one that is cut off, which then knows that its lease is over', async () => {
    const stream = bed.stream()
    const proxy = await bed.proxy()
    const stop = new AbortController()
    const held: HeldLease[] = []
    const work = (lease: HeldLease): Promise<void> => {
      held.push(lease)
      return untilTold(lease)
    }
    // On another host, as far as anybody can tell.
    const options = { sameHostTakeover: false }
    const far = (await bed.open(options, proxy.url)).extension(stream, 'test')
    const first = far.elect('lease', { leaseMs: 1_000, signal: stop.signal }, work)
    await waitFor(() => held.length === 1, { describe: 'the first one to be elected' })
    const near = (await bed.open(options)).extension(stream, 'test')
    const second = near.elect('lease', { leaseMs: 1_000, signal: stop.signal }, work)
    proxy.blackhole('both')
    await waitFor(() => held.length === 2, { describe: 'the second one to be elected' })
    expect(held.map((lease) => lease.holds())).toEqual([false, true])
    stop.abort()
    await proxy.heal()
    await Promise.all([first, second])
  })

  it('begins again when the work fails', async () => {
    const stop = new AbortController()
    const failures = bed.gather(channels.loopFailed)
    const extension = (await bed.open()).extension(bed.stream(), 'test')
    let turns = 0
    await extension.elect('lease', { signal: stop.signal }, () => {
      turns += 1
      if (turns === 2) stop.abort()
      return Promise.reject(new Error('planted'))
    })
    expect(turns).toBe(2)
    expect(failures.map(({ error }) => error.message)).toContain('planted')
  })

  it('ends with Millrace, after its work', async () => {
    const millrace = await bed.open()
    const extension = millrace.extension(bed.stream(), 'test')
    let ended = false
    let working = false
    const election = extension.elect(
      'lease',
      { signal: new AbortController().signal },
      async (held) => {
        working = true
        await untilTold(held)
        ended = true
      },
    )
    await waitFor(() => working, { describe: 'the work to begin' })
    await millrace.close()
    await election
    expect(ended).toBe(true)
  })
})
