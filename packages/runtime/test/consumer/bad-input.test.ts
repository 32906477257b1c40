import { describe, expect, it } from 'vitest'
import { waitFor } from '@millrace/testkit'
import { connect } from '../../src/index.ts'
import { useRedis } from '../open-millrace.ts'

const bed = useRedis()

describe('What is wrong from the start', () => {
  it.each([
    ['redis://127.0.0.1:1', 'UNAVAILABLE'],
    ['http://127.0.0.1:6379', 'OPTIONS_INVALID'],
    ['somewhere', 'OPTIONS_INVALID'],
  ])('is told when connecting to %s', async (url, code) => {
    await expect(connect(url, { deadlineMs: 200 })).rejects.toMatchObject({ code })
  })

  it('is told when the password is wrong', async () => {
    await bed.redis.acl('SETUSER', 'guarded', 'on', '>right', '~*', '&*', '+@all')
    const url = (password: string): string =>
      bed.server.url.replace('redis://', `redis://guarded:${password}@`)
    await expect(connect(url('wrong'))).rejects.toMatchObject({ code: 'AUTH_FAILED' })
    await bed.open({}, url('right'))
  })

  it('is told when the user lacks a right that the consumer needs', async () => {
    await bed.redis.acl('SETUSER', 'reader', 'on', '>pw', '~*', '&*', '+@all', '-xgroup')
    const millrace = await bed.open({}, bed.server.url.replace('redis://', 'redis://reader:pw@'))
    const consumer = millrace.consumer(bed.stream(), { name: 'board' }).start(() => undefined)
    await expect(consumer.done).rejects.toMatchObject({ code: 'PERMISSION_DENIED' })
    await expect(consumer.ready).rejects.toMatchObject({ code: 'PERMISSION_DENIED' })
    await consumer.close()
    expect(consumer.state.is).toBe('stopped')
  })

  it('is told when the key is no stream, or its state no hash', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    await bed.redis.set(bed.key(stream), 'text')
    const consumer = millrace.consumer(stream, { name: 'board' }).start(() => undefined)
    await expect(consumer.done).rejects.toMatchObject({ code: 'KEY_TYPE' })
    const other = bed.stream()
    await bed.redis.set(`${bed.key(other)}:state:board`, 'text')
    const second = millrace.consumer(other, { name: 'board' }).start(() => undefined)
    await expect(second.done).rejects.toMatchObject({ code: 'KEY_TYPE' })
  })

  it('is told when the stream was made with another format', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    await bed.redis.hset(`${bed.key(stream)}:meta`, {
      incarnation: 'x',
      format: 2,
      partitions: 1,
      tag: stream.name,
    })
    const consumer = millrace.consumer(stream, { name: 'board' }).start(() => undefined)
    await expect(consumer.done).rejects.toMatchObject({ code: 'STREAM_MISMATCH' })
  })

  it('is told when the name is taken by a group, of ours or of somebody else', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    const group = millrace.consumerGroup(stream, { name: 'workers' }).start(() => undefined)
    await group.ready
    const consumer = millrace.consumer(stream, { name: 'workers' }).start(() => undefined)
    await expect(consumer.done).rejects.toMatchObject({ code: 'NAME_IN_USE' })
    await bed.append(stream, 1)
    await bed.redis.xgroup('CREATE', bed.key(stream), 'foreign', '0')
    await bed.redis.xreadgroup('GROUP', 'foreign', 'me', 'STREAMS', bed.key(stream), '>')
    const second = millrace.consumer(stream, { name: 'foreign' }).start(() => undefined)
    await expect(second.done).rejects.toMatchObject({ code: 'NAME_IN_USE' })
    const image = await bed.image(stream, 'foreign')
    expect(image).toMatchObject({ pending: 1 })
  })
})

describe('What goes wrong later', () => {
  it('is an outage to outlast: rights that are taken away and given back', async () => {
    await bed.redis.acl('SETUSER', 'fickle', 'on', '>pw', '~*', '&*', '+@all')
    const millrace = await bed.open({}, bed.server.url.replace('redis://', 'redis://fickle:pw@'))
    const stream = bed.stream()
    const handled: number[] = []
    const consumer = millrace
      .consumer(stream, { name: 'board', leaseMs: 500 })
      .start(({ data }) => void handled.push(data.n))
    await consumer.ready
    await bed.append(stream, 1)
    await waitFor(() => handled.length === 1, { describe: 'the first event' })
    await bed.redis.acl('SETUSER', 'fickle', '-xread', '-xrange', '-hset')
    await bed.append(stream, 1, { first: 1 })
    await waitFor(() => consumer.state.is === 'standby', { describe: 'the lease to be given up' })
    await bed.redis.acl('SETUSER', 'fickle', '+@all')
    await waitFor(() => consumer.state.is === 'holding', {
      describe: 'the lease to be taken again',
    })
    await bed.append(stream, 1, { first: 2 })
    await waitFor(() => handled.at(-1) === 2, { describe: 'the third event' })
    expect([...new Set(handled)]).toEqual([0, 1, 2])
  })
})
