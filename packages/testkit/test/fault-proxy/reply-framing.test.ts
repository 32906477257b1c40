import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { FramingError, ReplyFraming, type Segment } from '../../src/fault-proxy/reply-framing.ts'

/** A well-formed RESP value of either protocol version, as servers send it. */
const value: fc.Arbitrary<string> = fc.letrec<{ value: string }>((tie) => {
  const line = fc.stringMatching(/^[ -~]{0,100}$/)
  const bulk = fc.string({ maxLength: 40 }).map((text) => Buffer.from(text).toString('latin1'))
  const children = fc.array(tie('value'), { maxLength: 4 })
  const pairs = fc.array(
    fc.tuple(tie('value'), tie('value')).map((pair) => pair.join('')),
    { maxLength: 3 },
  )
  return {
    value: fc.oneof(
      { maxDepth: 4 },
      fc.tuple(fc.constantFrom('+', '-'), line).map(([type, text]) => `${type}${text}\r\n`),
      fc.constantFrom(
        ':7\r\n',
        '_\r\n',
        '#t\r\n',
        ',3.5\r\n',
        '(12345678901234567890\r\n',
        '$-1\r\n',
        '*-1\r\n',
        '*0\r\n',
      ),
      fc
        .tuple(fc.constantFrom('$', '=', '!'), bulk)
        .map(([type, text]) => `${type}${text.length}\r\n${text}\r\n`),
      fc
        .tuple(fc.constantFrom('*', '~'), children)
        .map(([type, parts]) => `${type}${parts.length}\r\n${parts.join('')}`),
      pairs.map((parts) => `%${parts.length}\r\n${parts.join('')}`),
      fc
        .tuple(pairs, tie('value'))
        .map(([parts, described]) => `|${parts.length}\r\n${parts.join('')}${described}`),
    ),
  }
}).value
const push = fc
  .array(value, { minLength: 1, maxLength: 3 })
  .map((parts) => `>${parts.length}\r\n${parts.join('')}`)
const frame = fc.oneof({ weight: 4, arbitrary: value }, { weight: 1, arbitrary: push })

test('frames are found again however the stream is cut into chunks', () => {
  fc.assert(
    fc.property(
      fc.array(frame, { maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1 }),
      (frames, cuts) => {
        const segments = feedInPieces(Buffer.from(frames.join(''), 'latin1'), cuts)
        expect(joinFrames(segments)).toEqual(frames)
        expect(segments.filter((part) => part.opens).map((part) => part.kind)).toEqual(
          frames.map((text) => (text.startsWith('>') ? 'push' : 'reply')),
        )
      },
    ),
  )
})

test('a frame that is not complete is opened and not closed', () => {
  const framing = new ReplyFraming()
  expect(framing.feed(Buffer.from('*2\r\n$3\r\nab')).map(flags)).toEqual([
    { opens: true, closes: false },
  ])
  expect(framing.feed(Buffer.from('c\r\n')).map(flags)).toEqual([{ opens: false, closes: false }])
  expect(framing.feed(Buffer.from(':1\r\n+OK')).map(flags)).toEqual([
    { opens: false, closes: true },
    { opens: true, closes: false },
  ])
})

test('line ends inside a bulk string do not end the frame', () => {
  const frames = joinFrames(new ReplyFraming().feed(Buffer.from('$8\r\na\r\n+b\r\nc\r\n:1\r\n')))
  expect(frames).toEqual(['$8\r\na\r\n+b\r\nc\r\n', ':1\r\n'])
})

test('a line longer than what is kept of it still ends where it ends', () => {
  const long = `-ERR ${'x'.repeat(5_000)}\r\n`
  expect(joinFrames(feedInPieces(Buffer.from(`${long}+OK\r\n`), [7, 900]))).toEqual([
    long,
    '+OK\r\n',
  ])
})

test('bytes that are no RESP are refused', () => {
  expect(() => new ReplyFraming().feed(Buffer.from('HTTP/1.1 200 OK\r\n'))).toThrow(FramingError)
  expect(() => new ReplyFraming().feed(Buffer.from('$?\r\n'))).toThrow(FramingError)
})

function feedInPieces(bytes: Buffer, cuts: readonly number[]): readonly Segment[] {
  const framing = new ReplyFraming()
  const segments: Segment[] = []
  for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
    const length = cuts[turn % cuts.length] ?? 1
    segments.push(...framing.feed(bytes.subarray(at, at + length)))
    at += length
  }
  return segments
}

function joinFrames(segments: readonly Segment[]): readonly string[] {
  const frames: string[] = []
  let open = ''
  for (const segment of segments) {
    open += segment.bytes.toString('latin1')
    if (!segment.closes) continue
    frames.push(open)
    open = ''
  }
  expect(open).toBe('')
  return frames
}

function flags({ opens, closes }: Segment): Pick<Segment, 'opens' | 'closes'> {
  return { opens, closes }
}
