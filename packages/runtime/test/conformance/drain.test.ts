import { expect, it } from 'vitest'
import { waitFor } from '@millrace/testkit'
import { range, readings } from './bed.ts'
import { describeConformance } from './describe-conformance.ts'

describeConformance('Closing', (bed) => {
  it('lets running handlers finish, takes in nothing more, and stores what was done', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    const results = await millrace.publish(stream, readings(10))
    const gate = Promise.withResolvers<void>()
    const started: string[] = []
    const handler = (name: string) => async (): Promise<void> => {
      started.push(name)
      await gate.promise
    }
    const consumer = millrace.consumer(stream, { name: 'board' }).start(handler('board'))
    const group = millrace.consumerGroup(stream, { name: 'pool' }).start(handler('pool'))
    await waitFor(() => started.length === 2, { describe: 'both to begin' })
    let closed = false
    const closing = millrace.close().then(() => (closed = true))
    await new Promise(setImmediate)
    expect(closed).toBe(false)
    gate.resolve()
    await closing
    expect(started.toSorted()).toEqual(['board', 'pool'])
    expect(await bed.state(stream, 'board')).toMatchObject({
      position: results[0]?.id,
      released: '1',
    })
    expect(consumer.state.is).toBe('closed')
    expect(group.state).toBe('closed')
    // The member acknowledged one; those that it had read beyond that wait for whoever comes.
    const { pending, lag } = await bed.image(stream, 'pool')
    expect(Number(pending) + Number(lag)).toBe(9)
    expect(millrace.connections).toMatchObject({ data: 0, control: 0, tail: 0, group: 0 })
  })

  it('waits for events that are on their way, and refuses new ones', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    const producer = millrace.producer(stream)
    const published = range(500).map((n) => producer.publish({ n }))
    const closing = producer.close()
    await expect(producer.publish({ n: 500 })).rejects.toMatchObject({ code: 'CLOSED' })
    await closing
    await Promise.all(published)
    expect(await bed.stored(stream)).toHaveLength(500)
  })

  it('gives handlers that do not end a deadline, and tells them', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    await millrace.publish(stream, { n: 1 })
    const told: unknown[] = []
    const started: string[] = []
    const handler =
      (name: string) =>
      (_: unknown, { signal }: { signal: AbortSignal }) => {
        started.push(name)
        return new Promise<void>((_resolve, reject) => {
          signal.addEventListener('abort', () => {
            told.push((signal.reason as { code: string }).code)
            reject(new Error('told to give up'))
          })
        })
      }
    millrace.consumer(stream, { name: 'board' }).start(handler('board'))
    const group = millrace.consumerGroup(stream, { name: 'pool' }).start(handler('pool'))
    await waitFor(() => started.length === 2, { describe: 'both to begin' })
    const [leftovers] = await Promise.all([
      group.close({ deadlineMs: 20 }),
      millrace.close({ deadlineMs: 20 }),
    ])
    expect(leftovers.unfinished).toHaveLength(1)
    expect(new Set(told)).toEqual(new Set(['ABORTED', 'CLOSED']))
  })

  it('can be asked for by a signal, more than once, and while everything has just begun', async () => {
    const stream = bed.stream()
    const stop = new AbortController()
    const millrace = await bed.open({ signal: stop.signal })
    millrace.consumer(stream, { name: 'board' }).start(() => undefined)
    millrace.consumerGroup(stream, { name: 'pool' }).start(() => undefined)
    const reading = millrace.reader(stream).next()
    stop.abort()
    await Promise.all([millrace.closed, millrace.close(), millrace.close()])
    expect(await reading).toEqual({ done: true, value: undefined })
    expect(() => millrace.consumer(stream, { name: 'board' })).toThrow(
      expect.objectContaining({ code: 'CLOSED' }),
    )
  })
})
