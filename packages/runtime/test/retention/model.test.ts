import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import type { RetentionOptions } from '../../src/stream/define-stream.ts'
import { compareIds } from '../../src/stream/stream-id.ts'
import { INCARNATION, useSweeps } from './sweep-bed.ts'

// Small nodes, so that few entries make whole nodes and halves of them.
const bed = useSweeps(['--stream-node-max-entries', '5'])

const HOUR_MS = 3_600_000
const CONSUMERS = ['c1', 'c2'] as const
const GROUPS = ['g1', 'g2', 'foreign'] as const

type Step =
  | { readonly do: 'publish'; readonly count: number; readonly old: boolean }
  | {
      readonly do: 'consume'
      readonly who: (typeof CONSUMERS)[number]
      readonly to: number
      readonly ranges: readonly (readonly [number, number])[]
      readonly dead: readonly number[]
    }
  | { readonly do: 'read'; readonly who: (typeof GROUPS)[number]; readonly count: number }
  | { readonly do: 'ack'; readonly who: (typeof GROUPS)[number]; readonly which: readonly number[] }
  | { readonly do: 'delete'; readonly which: readonly number[] }
  | { readonly do: 'sweep' }

const small = fc.nat({ max: 40 })
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    fc.record({
      do: fc.constant('publish' as const),
      count: fc.integer({ min: 1, max: 25 }),
      old: fc.boolean(),
    }),
    fc.record({
      do: fc.constant('consume' as const),
      who: fc.constantFrom(...CONSUMERS),
      to: fc.nat({ max: 15 }),
      ranges: fc.array(fc.tuple(small, fc.nat({ max: 6 })), { maxLength: 3 }),
      dead: fc.array(small, { maxLength: 3 }),
    }),
    fc.record({
      do: fc.constant('read' as const),
      who: fc.constantFrom(...GROUPS),
      count: fc.integer({ min: 1, max: 15 }),
    }),
    fc.record({
      do: fc.constant('ack' as const),
      who: fc.constantFrom(...GROUPS),
      which: fc.array(small, { maxLength: 12 }),
    }),
    fc.record({ do: fc.constant('delete' as const), which: fc.array(small, { maxLength: 4 }) }),
    fc.record({ do: fc.constant('sweep' as const) }),
  ),
  { minLength: 4, maxLength: 30 },
)

const retentions: fc.Arbitrary<RetentionOptions> = fc.record({
  maxAgeMs: fc.constantFrom(HOUR_MS, 1_000 * HOUR_MS),
  maxLength: fc.constantFrom(Number.POSITIVE_INFINITY, 1, 10, 33),
  unread: fc.constantFrom('expire' as const, 'keep' as const),
  hardMaxLength: fc.constantFrom(Number.POSITIVE_INFINITY, 20, 40),
})

it('removes what retention says, and counts for everybody exactly what it had not processed', async () => {
  await fc.assert(
    fc.asyncProperty(
      steps,
      retentions,
      fc.integer({ min: 1, max: 12 }),
      fc.integer({ min: 1, max: 6 }),
      async (plan, retention, mostRemoved, mostPending) => {
        await bed.reset()
        const model = new Model(retention, await bed.nowMs())
        for (const name of CONSUMERS) await bed.consumer(name, '0-0')
        for (const name of GROUPS) {
          if (name === 'foreign') await bed.redis.xgroup('CREATE', bed.keys.stream, name, '0-0')
          else await bed.group(name, '0-0')
        }
        for (const step of [...plan, { do: 'sweep' } as const]) {
          await carryOut(model, step, retention, { mostRemoved, mostPending })
        }
      },
    ),
    { numRuns: 300 },
  )
})

async function carryOut(
  model: Model,
  step: Step,
  retention: RetentionOptions,
  limits: { readonly mostRemoved: number; readonly mostPending: number },
): Promise<void> {
  const { redis, keys } = bed
  switch (step.do) {
    case 'publish':
      await bed.add(model.publish(step.count, step.old))
      return
    case 'consume': {
      const state = model.consume(step.who, step.to, step.ranges, step.dead)
      await redis.hset(keys.state(step.who), state)
      return
    }
    case 'read':
      expect(await bed.read(step.who, step.count)).toEqual(model.read(step.who, step.count))
      return
    case 'ack':
      for (const id of model.ack(step.who, step.which)) await redis.xack(keys.stream, step.who, id)
      return
    case 'delete':
      for (const id of model.delete(step.which)) await redis.xdel(keys.stream, id)
      return
    case 'sweep': {
      // What is acknowledged in one sweep may raise the floor for the next.
      while ((await bed.sweep(retention, limits)).removed > 0);
      model.sweep()
      for (const name of GROUPS) model.settlePending(name, await pendingOf(name))
      expect(await bed.ids()).toEqual(model.entries)
      expect(await bed.meta('floor')).toBe(model.floor().id)
      expect((await bed.meta('trimmed')) ?? '0-0').toBe(model.trimmed)
      for (const name of [...CONSUMERS, ...GROUPS]) {
        const { expired, lastLost } = model.losses(name)
        if (name === 'foreign') {
          expect((await bed.meta('foreign:foreign'))?.split('|')[0]).toBe(String(expired))
          continue
        }
        const state = await bed.state(name)
        expect([name, Number(state['expired'] ?? 0)]).toEqual([name, expired])
        if (expired === 0) expect(state['gap']).toBeUndefined()
        else
          expect(state['gap']?.split(',').slice(1)).toEqual([
            lastLost,
            String(expired),
            INCARNATION,
          ])
      }
      return
    }
    default:
      step satisfies never
  }
}

async function pendingOf(group: string): Promise<string[]> {
  const rows = (await bed.redis.xpending(bed.keys.stream, group, '-', '+', 1_000)) as [string][]
  return rows.map(([id]) => id)
}

/** What is expected, by going through the entries one by one. */
class Model {
  entries: string[] = []
  trimmed = '0-0'
  readonly #retention: RetentionOptions
  readonly #oldMs: number
  readonly #freshMs: number
  #last = '0-0'
  #sequence = 0
  readonly #positions = new Map<string, string>()
  /** Ids that a consumer has done above its position. */
  readonly #above = new Map<string, Set<string>>()
  readonly #pending = new Map<string, Set<string>>(GROUPS.map((name) => [name, new Set()]))
  readonly #losses = new Map<string, { expired: number; lastLost: string }>()

  constructor(retention: RetentionOptions, nowMs: number) {
    this.#retention = retention
    this.#oldMs = nowMs - 10 * HOUR_MS
    this.#freshMs = nowMs - 60_000
  }

  publish(count: number, old: boolean): string[] {
    // Once something fresh is there, nothing old can follow.
    const isOld = old && !this.#last.startsWith(`${this.#freshMs}-`)
    const ms = isOld ? this.#oldMs : this.#freshMs
    const ids = Array.from({ length: count }, () => `${ms}-${++this.#sequence}`)
    this.entries.push(...ids)
    this.#last = ids.at(-1) ?? this.#last
    return ids
  }

  consume(
    who: string,
    by: number,
    ranges: readonly (readonly [number, number])[],
    dead: readonly number[],
  ): Record<string, string> {
    const before = this.position(who)
    const ahead = this.entries.filter((id) => compareIds(id, before) > 0)
    const position = by === 0 ? before : (ahead[Math.min(by, ahead.length) - 1] ?? before)
    this.#positions.set(who, position)
    const above = this.entries.filter((id) => compareIds(id, position) > 0)
    const pairs = ranges.flatMap(([at, size]) => {
      const from = above[at]
      const to = above[Math.min(at + size, above.length - 1)]
      return from === undefined || to === undefined ? [] : [[from, to] as const]
    })
    const gone = dead.flatMap((at) => above[at] ?? [])
    const done = above.filter(
      (id) =>
        gone.includes(id) ||
        pairs.some(([from, to]) => compareIds(id, from) >= 0 && compareIds(id, to) <= 0),
    )
    this.#above.set(who, new Set(done))
    return {
      position,
      ranges: pairs.map(([from, to]) => `${from}>${to}`).join(','),
      dead: gone.join(','),
    }
  }

  read(who: string, count: number): string[] {
    const taken = this.entries
      .filter((id) => compareIds(id, this.position(who)) > 0)
      .slice(0, count)
    for (const id of taken) this.#pending.get(who)?.add(id)
    this.#positions.set(who, taken.at(-1) ?? this.position(who))
    return taken
  }

  ack(who: string, which: readonly number[]): string[] {
    const pending = [...(this.#pending.get(who) ?? [])]
    const acked = which.flatMap((at) => pending[at] ?? [])
    for (const id of acked) this.#pending.get(who)?.delete(id)
    return acked
  }

  delete(which: readonly number[]): string[] {
    const deleted = which.flatMap((at) => this.entries[at] ?? [])
    // A pending entry that somebody deletes holds the floor until a member meets it, as it is meant to.
    const free = deleted.filter(
      (id) =>
        this.#retention.unread === 'expire' ||
        ![...this.#pending.values()].some((ids) => ids.has(id)),
    )
    this.entries = this.entries.filter((id) => !free.includes(id))
    return free
  }

  sweep(): void {
    for (;;) {
      const first = this.entries[0]
      if (first === undefined || !this.#mayGo(first)) break
      for (const name of [...CONSUMERS, ...GROUPS])
        if (!this.#isProcessed(name, first)) this.#lose(name, first)
      for (const ids of this.#pending.values()) ids.delete(first)
      this.entries.shift()
      this.trimmed = first
    }
  }

  /** Takes over what is pending, of which only entries that are not in the stream may have gone by itself. */
  settlePending(who: string, there: readonly string[]): void {
    const known = [...(this.#pending.get(who) ?? [])]
    const vanished = known.filter((id) => !there.includes(id))
    expect(there.filter((id) => !known.includes(id))).toEqual([])
    expect(vanished.filter((id) => this.entries.includes(id))).toEqual([])
    expect(there.filter((id) => compareIds(id, this.trimmed) <= 0)).toEqual([])
    this.#pending.set(who, new Set(there))
  }

  position(who: string): string {
    return this.#positions.get(who) ?? '0-0'
  }

  losses(who: string): { expired: number; lastLost: string } {
    return this.#losses.get(who) ?? { expired: 0, lastLost: '' }
  }

  /** The place up to which everybody has processed everything; before the id when it is open. */
  floor(): { id: string; open: boolean } {
    let floor = { id: this.#last, open: false }
    const consider = (id: string, open: boolean): void => {
      const order = compareIds(id, floor.id)
      if (order < 0 || (order === 0 && open)) floor = { id, open }
    }
    for (const name of [...CONSUMERS, ...GROUPS]) consider(this.position(name), false)
    for (const ids of this.#pending.values()) for (const id of ids) consider(id, true)
    return floor
  }

  #mayGo(id: string): boolean {
    const { maxAgeMs, maxLength, hardMaxLength, unread } = this.#retention
    const length = this.entries.length
    if (length > (hardMaxLength ?? Number.POSITIVE_INFINITY)) return true
    const isOld = maxAgeMs === HOUR_MS && id.startsWith(`${this.#oldMs}-`)
    if (!isOld && length <= (maxLength ?? Number.POSITIVE_INFINITY)) return false
    if (unread === 'expire') return true
    const floor = this.floor()
    const order = compareIds(id, floor.id)
    return order < 0 || (order === 0 && !floor.open)
  }

  #isProcessed(who: string, id: string): boolean {
    if (this.#pending.get(who)?.has(id) === true) return false
    return compareIds(id, this.position(who)) <= 0 || this.#above.get(who)?.has(id) === true
  }

  #lose(who: string, id: string): void {
    this.#losses.set(who, { expired: this.losses(who).expired + 1, lastLost: id })
  }
}
