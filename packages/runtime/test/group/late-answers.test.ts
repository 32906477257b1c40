import { waitFor } from '@millrace/testkit'
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest'
import { RedriveCommands } from '../../src/dead-letters/group-commands.ts'
import { channels } from '../../src/diagnostics.ts'
import { isRefusal } from '../../src/group/answers.ts'
import { GroupCommands } from '../../src/group/commands.ts'
import { connect } from '../../src/index.ts'
import type { EventStream } from '../../src/stream/define-stream.ts'
import { GroupTestbed, type Order } from './group-on-redis.ts'

// Answers come over several connections, so one may overtake another. These tests keep real answers back.

const bed = await GroupTestbed.start()
afterAll(() => bed[Symbol.asyncDispose]())
afterEach(() => {
  vi.restoreAllMocks()
})

/** Keeps answers back from now on, until they are let go. */
class HeldBack {
  readonly #gate = Promise.withResolvers<void>()
  /** How many were answered by Redis and kept back. */
  count = 0

  async pass<Answer>(
    answer: Promise<Answer>,
    isMeant: (answer: Answer) => boolean,
  ): Promise<Answer> {
    const value = await answer
    if (!isMeant(value)) return value
    this.count++
    await this.#gate.promise
    return value
  }

  letGo(): void {
    this.#gate.resolve()
  }
}

/** A method as it is, to be called on whatever it is replaced on. */
function methodOf<Owner, Name extends keyof Owner>(owner: Owner, name: Name): Owner[Name] {
  return owner[name]
}

function holdLists(): HeldBack {
  const held = new HeldBack()
  const pending = methodOf(GroupCommands.prototype, 'pending')
  vi.spyOn(GroupCommands.prototype, 'pending').mockImplementation(function (
    this: GroupCommands,
    ...args
  ) {
    return held.pass(pending.apply(this, args), () => true)
  })
  bed.onClose(() => {
    held.letGo()
  })
  return held
}

function holdReads(): HeldBack {
  const held = new HeldBack()
  const read = methodOf(GroupCommands.prototype, 'read')
  vi.spyOn(GroupCommands.prototype, 'read').mockImplementation(function (
    this: GroupCommands,
    ...args
  ) {
    return held.pass(read.apply(this, args), (entries) => entries.length > 0)
  })
  bed.onClose(() => {
    held.letGo()
  })
  return held
}

function holdTakes(): HeldBack {
  const held = new HeldBack()
  const take = methodOf(RedriveCommands.prototype, 'take')
  vi.spyOn(RedriveCommands.prototype, 'take').mockImplementation(function (
    this: RedriveCommands,
    ...args
  ) {
    return held.pass(
      take.apply(this, args),
      (taken) => !isRefusal(taken) && taken.entries.length > 1,
    )
  })
  bed.onClose(() => {
    held.letGo()
  })
  return held
}

/** Counts the events of the stream of which members know from now on that they are settled. */
function settledOf({ name }: EventStream<Order, Order>): { readonly count: number } {
  const settled = { count: 0 }
  bed.onClose(
    channels.acknowledged.subscribe(({ stream, ids }) => {
      if (stream === name) settled.count += ids.length
    }),
  )
  return settled
}

/** Resolves when the members of this process have compared what they hold so many times. */
async function comparisons(n: number): Promise<void> {
  const pending = methodOf(GroupCommands.prototype, 'pending')
  let answered = 0
  vi.spyOn(GroupCommands.prototype, 'pending').mockImplementation(async function (
    this: GroupCommands,
    ...args
  ) {
    const answer = await pending.apply(this, args)
    answered++
    return answer
  })
  await waitFor(() => answered >= n, { describe: `${n} comparisons` })
}

describe('a member', () => {
  it('does not start again what was settled while a list of what is pending was under way', async () => {
    const stream = bed.stream()
    const ids = await bed.append(stream, 12)
    const gate = Promise.withResolvers<void>()
    const seen: string[] = []
    const group = bed.group(bed.core(), stream, { name: 'g', leaseMs: 600, concurrency: 12 })
    group.start(async ({ id }) => {
      seen.push(id)
      await gate.promise
    })
    await waitFor(() => seen.length === 12, { describe: 'all to run' })
    const lists = holdLists()
    // Redis and the member now differ about one, so that they compare.
    await bed.client.xack(bed.key(stream), 'g', ids[0] ?? '')
    await waitFor(() => lists.count > 0, { describe: 'the list' })
    const settled = settledOf(stream)
    gate.resolve()
    await waitFor(() => settled.count === 12, { describe: 'the answers that they are settled' })
    vi.restoreAllMocks()
    lists.letGo()
    const last = await bed.append(stream, 1, 13)
    await waitFor(() => seen.includes(last[0] ?? ''), { describe: 'the next event' })
    // Entries that were taken in by mistake would make them compare again.
    await waitFor(async () => (await bed.pending(stream, 'g')) === 0, { describe: 'rest' })
    await group.close()
    expect(seen).toEqual([...ids, ...last])
  })

  it('takes nothing for lost whose read has not been answered', async () => {
    const stream = bed.stream()
    const seen: string[] = []
    const reads = holdReads()
    const group = bed.group(bed.core(), stream, { name: 'g', leaseMs: 600, concurrency: 4 })
    group.start(({ id }) => void seen.push(id))
    await group.ready
    const ids = await bed.append(stream, 3)
    await waitFor(() => reads.count === 1, { describe: 'the read' })
    // It sees more pending than it has, at one beat after the other.
    await comparisons(1)
    const [before] = Object.values(await bed.records(stream, 'g'))
    await waitFor(async () => beatIn(await bed.records(stream, 'g')) >= beatOf(before) + 3, {
      describe: 'three more beats',
    })
    expect(seen).toEqual([])
    reads.letGo()
    await waitFor(() => seen.length >= 3, { describe: 'all' })
    await waitFor(async () => (await bed.pending(stream, 'g')) === 0, { describe: 'rest' })
    await group.close()
    expect(seen).toEqual(ids)
  })

  it('does not run a redriven event again that was settled while it asked for more', async () => {
    const stream = bed.stream()
    await using millrace = await connect(bed.server.url)
    const seen: boolean[] = []
    const group = millrace.consumerGroup(stream, {
      name: 'g',
      leaseMs: 600,
      concurrency: 2,
      maxAttempts: 1,
    })
    const gate = Promise.withResolvers<void>()
    group.start(async (_, { redriven }) => {
      seen.push(redriven)
      if (!redriven) throw new Error('not yet')
      await gate.promise
    })
    await bed.append(stream, 1)
    const letters = millrace.deadLetters(stream, 'g')
    await waitFor(async () => (await letters.count()) === 1, { describe: 'the dead letter' })
    await letters.redrive()
    await waitFor(() => seen.length === 2, { describe: 'the redriven event to run' })
    const taken = holdTakes()
    // There is more to take, so it asks, and is told again of the one that runs.
    await bed.append(stream, 1, 2)
    await waitFor(async () => (await letters.count()) === 1, { describe: 'another dead letter' })
    await letters.redrive()
    await waitFor(() => taken.count > 0, { describe: 'what is pending' })
    const settled = settledOf(stream)
    gate.resolve()
    await waitFor(() => settled.count === 1, { describe: 'the answer that it is settled' })
    vi.restoreAllMocks()
    taken.letGo()
    const key = `${bed.key(stream)}:redrive:g`
    await waitFor(async () => (await bed.client.xlen(key)) === 0, { describe: 'the second' })
    await group.close()
    expect(seen).toEqual([false, true, false, true])
  })

  it('takes in what is pending for it and was never here', async () => {
    const stream = bed.stream()
    const seen: string[] = []
    const core = bed.core()
    const group = bed.group(core, stream, { name: 'g', leaseMs: 600, from: 'latest' })
    // Before the group began, so that no read brings it.
    const [id = ''] = await bed.append(stream, 1)
    group.start((event) => void seen.push(event.id))
    await group.ready
    const [name = ''] = await bed.consumers(stream, 'g')
    await bed.client.xclaim(bed.key(stream), 'g', name, 0, id, 'FORCE', 'JUSTID')
    await waitFor(() => seen.length === 1, { describe: 'the event' })
    await waitFor(async () => (await bed.pending(stream, 'g')) === 0, { describe: 'rest' })
    expect(seen).toEqual([id])
  })
})

function beatOf(record: string | undefined): number {
  return Number(/^[^|]*\|(\d+)\|/.exec(record ?? '')?.[1])
}

function beatIn(records: Readonly<Record<string, string>>): number {
  return beatOf(Object.values(records)[0])
}
