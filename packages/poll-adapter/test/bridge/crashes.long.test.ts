import { describe, expect, it } from 'vitest'
import { waitFor } from '@millrace/testkit'
import { type Child, seededRandom, startChild } from '../child.ts'
import { type Flight, FlightSource } from '../flight-source.ts'
import { useRedis } from '../open-millrace.ts'

const bed = useRedis()
const seed = Math.floor(Math.random() * 1e9)
const random = seededRandom(seed)

/** Lets two processes bridge a growing source, and does something to them after every so many changes. */
async function underFire(
  kind: 'exact' | 'overlap' | 'snapshot',
  strikes: number,
  strike: (children: Child[], start: () => Child) => Promise<void> | void,
): Promise<{ source: Flight[]; stored: Flight[] }> {
  await using source = await new FlightSource().listen()
  const stream = bed.stream<Flight | null>()
  const start = (): Child => {
    const child = startChild('bridge.ts', [bed.server.url, source.url, stream.name, kind])
    bed.onClose(() => child.end())
    return child
  }
  const children = [start(), start()]
  const length = (): Promise<number> => bed.redis.xlen(bed.key(stream))
  for (let i = 0; i < strikes; i++) {
    const before = await length()
    for (let n = 0; n < 150; n++) {
      // Every tenth commits late, where the source may have such.
      // Numbers go up by two, so that there is room for one that comes late.
      const isLate = kind === 'overlap' && n % 10 === 9
      source.change(`LX${n % 7}`, source.lastSeq + (isLate ? -1 : 2))
    }
    await waitFor(async () => (await length()) > before, {
      describe: `some of the news (seed ${seed})`,
      timeoutMs: 60_000,
    })
    await new Promise((resolve) => setTimeout(resolve, random() * 30))
    await strike(children, start)
  }
  if (kind === 'snapshot') for (let n = 0; n < 7; n++) source.change(`LX${n}`)
  const wanted = kind === 'snapshot' ? source.latest() : source.all()
  const last = wanted.at(-1)?.gate ?? ''
  await waitFor(
    async () => {
      const seen = new Set((await bed.stored<Flight>(stream)).map(({ data }) => idOf(data)))
      return wanted.every((flight) => seen.has(idOf(flight)))
    },
    { describe: `everything up to ${last} (seed ${seed})`, everyMs: 100, timeoutMs: 60_000 },
  )
  const stored = (await bed.stored<Flight>(stream)).map(({ data }) => data)
  for (const child of children) await child.end()
  return { source: wanted, stored }
}

function idOf({ flight, version }: Flight): string {
  return `${flight}@${version}`
}

async function killOne(children: Child[], start: () => Child): Promise<void> {
  const index = Math.floor(random() * children.length)
  await children[index]?.end()
  children[index] = start()
}

describe('a bridge whose processes are killed at random moments', () => {
  it('puts each change of an exact source into the stream exactly once, in order', async () => {
    const { source, stored } = await underFire('exact', 12, killOne)
    expect(stored).toEqual(source)
  }, 180_000)

  it('puts each change of a source with late commits into the stream exactly once', async () => {
    const { source, stored } = await underFire('overlap', 8, killOne)
    expect(stored.length).toBe(source.length)
    expect(new Set(stored.map(idOf))).toEqual(new Set(source.map(idOf)))
  }, 180_000)

  it('puts no version of an item of a snapshot into the stream twice, and every last one', async () => {
    const { source, stored } = await underFire('snapshot', 8, killOne)
    const ids = stored.map(idOf)
    expect(new Set(ids).size).toBe(ids.length)
    expect(ids).toEqual(expect.arrayContaining(source.map(idOf)))
  }, 180_000)
})

describe('a bridge whose process is stopped and wakes up later', () => {
  it('writes nothing any more once another one has taken over', async () => {
    const stopped = new Set<Child>()
    const { source, stored } = await underFire('exact', 6, (children) => {
      // The one that polls is one of the two; it goes on after the other has taken over.
      for (const child of stopped) child.signal('SIGCONT')
      stopped.clear()
      const child = children[Math.floor(random() * children.length)]
      if (child === undefined) return
      child.signal('SIGSTOP')
      stopped.add(child)
    })
    for (const child of stopped) child.signal('SIGCONT')
    expect(stored).toEqual(source)
  }, 180_000)
})
