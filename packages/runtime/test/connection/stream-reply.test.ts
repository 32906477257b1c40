import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type StreamReply, StreamReplyDecoder } from '../../src/connection/stream-reply.ts'

const streams: StreamReply = [
  [
    'orders',
    [
      ['1700000000000-0', ['data', '{"n":1}', 'h:who', 'é']],
      ['1700000000000-1', ['data', '', 'h:why', 'ü']],
      ['1700000000001-0', []],
    ],
  ],
  ['größe', [['2-0', ['data', '日本\r\n$3\r\n']]]],
]

describe('The decoder of what a read brings', () => {
  it.each(['RESP2', 'RESP3'] as const)('reads entries in %s, however the bytes are cut', (how) => {
    const bytes = encode(streams, how)
    const cuts = fc.array(fc.nat(bytes.length), { maxLength: 12 })
    fc.assert(
      fc.property(cuts, (places) => {
        const decoder = new StreamReplyDecoder(false)
        const ends = [...places.toSorted((a, b) => a - b), bytes.length]
        const progress = ends.map((end, i) => decoder.write(bytes.subarray(ends[i - 1] ?? 0, end)))
        expect(progress.indexOf('complete')).toBe(ends.indexOf(bytes.length))
        expect(decoder.reply).toEqual(streams)
      }),
    )
  })

  it('takes bytes one by one', () => {
    const decoder = new StreamReplyDecoder(false)
    const bytes = encode(streams, 'RESP3')
    for (let at = 0; at < bytes.length - 1; at++) {
      expect(decoder.write(bytes.subarray(at, at + 1))).toBe('more')
    }
    expect(decoder.write(bytes.subarray(-1))).toBe('complete')
    expect(decoder.reply).toEqual(streams)
  })

  it('keeps fields as bytes where that is asked for, and ids as text', () => {
    const decoder = new StreamReplyDecoder(true)
    const value = Buffer.from([0, 255, 13, 10])
    decoder.write(encode([['s', [['1-1', ['data', value]]]]], 'RESP3'))
    expect(decoder.reply).toEqual([['s', [['1-1', [Buffer.from('data'), value]]]]])
  })

  it('puts a large value together out of its pieces', () => {
    const decoder = new StreamReplyDecoder(false)
    const value = 'ä'.repeat(20_000_000)
    const bytes = encode([['s', [['1-1', ['data', value]]]]], 'RESP3')
    let last = 'more'
    for (let at = 0; at < bytes.length; at += 65_536) {
      last = decoder.write(bytes.subarray(at, at + 65_536))
    }
    expect(last).toBe('complete')
    expect(decoder.reply[0]?.[1][0]?.[1][1] === value).toBe(true)
  })

  it('leaves what follows the reply', () => {
    const decoder = new StreamReplyDecoder(false)
    expect(decoder.write(Buffer.concat([encode(streams, 'RESP2'), Buffer.from('+OK\r\n')]))).toBe(
      'complete',
    )
    expect(decoder.rest.toString()).toBe('+OK\r\n')
  })

  it.each(['_\r\n', '*-1\r\n', '$-1\r\n'])('takes %j for none, however it is cut', (text) => {
    for (let cut = 0; cut < text.length; cut++) {
      const decoder = new StreamReplyDecoder(false)
      expect(decoder.write(Buffer.from(text.slice(0, cut)))).toBe('more')
      expect(decoder.write(Buffer.from(`${text.slice(cut)}+OK\r\n`))).toBe('none')
      expect(decoder.rest.toString()).toBe('+OK\r\n')
    }
  })

  it('tells what the server said when it refused', () => {
    const decoder = new StreamReplyDecoder(false)
    expect(decoder.write(Buffer.from('-NOGROUP no such'))).toBe('more')
    expect(decoder.write(Buffer.from(' group größe\r\n+OK\r\n'))).toBe('refused')
    expect(decoder.refusal).toBe('NOGROUP no such group größe')
    expect(decoder.rest.toString()).toBe('+OK\r\n')
  })

  it.each([
    '%1\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-1\r\n_\r\n',
    '%1\r\n$x\r\n',
    '*1\r\n:5\r\n',
    '+OK\r\n',
    '>2\r\n',
  ])('throws at %j, which is no such reply', (text) => {
    expect(() => new StreamReplyDecoder(false).write(Buffer.from(text))).toThrow('entries')
  })
})

function encode(reply: StreamReply, how: 'RESP2' | 'RESP3'): Buffer {
  const text = (value: string | Buffer): Buffer => {
    const bytes = Buffer.from(value)
    return Buffer.concat([Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n')])
  }
  const array = (items: readonly Buffer[]): Buffer =>
    Buffer.concat([Buffer.from(`*${items.length}\r\n`), ...items])
  const parts = reply.map(([key, entries]) => [
    text(key),
    array(entries.map(([id, fields]) => array([text(id), array(fields.map(text))]))),
  ])
  return how === 'RESP2'
    ? array(parts.map(array))
    : Buffer.concat([Buffer.from(`%${parts.length}\r\n`), ...parts.flat()])
}
