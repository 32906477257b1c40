import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { CommandReader } from '../../src/fault-proxy/command-reader.ts'

const command = fc.array(fc.uint8Array({ maxLength: 40 }), { minLength: 1, maxLength: 6 })

test('commands are read again however the stream is cut into chunks', () => {
  fc.assert(
    fc.property(
      fc.array(command, { maxLength: 6 }),
      fc.integer({ min: 1, max: 50 }),
      (commands, size) => {
        const bytes = Buffer.concat(commands.flatMap(encode))
        const reader = new CommandReader()
        const read: (readonly Buffer[])[] = []
        for (let at = 0; at < bytes.length; at += size)
          read.push(...reader.feed(bytes.subarray(at, at + size)))
        expect(read.map((words) => words.map(hex))).toEqual(commands.map((words) => words.map(hex)))
      },
    ),
  )
})

test('a plain line is a command too', () => {
  const words = new CommandReader()
    .feed(Buffer.from('set a  1\r\n\r\nping\n'))
    .map((line) => line.map(String))
  expect(words).toEqual([['set', 'a', '1'], ['ping']])
})

test('an array without the bulk strings it announces is refused', () => {
  expect(() => new CommandReader().feed(Buffer.from('*1\r\n:1\r\n'))).toThrow('not a RESP frame')
})

function encode(words: readonly Uint8Array[]): readonly Buffer[] {
  return [
    Buffer.from(`*${words.length}\r\n`),
    ...words.flatMap((word) => [
      Buffer.from(`$${word.length}\r\n`),
      Buffer.from(word),
      Buffer.from('\r\n'),
    ]),
  ]
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}
