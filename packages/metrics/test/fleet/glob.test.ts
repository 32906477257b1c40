import { expect, it } from 'vitest'
import { globToPattern } from '../../src/fleet/glob.ts'
import { streamKeyOf } from '../../src/fleet/stream-key.ts'

it.each([
  ['*', 'anything', true],
  ['mr:*', 'mr:{a}a', true],
  ['mr:*', 'xmr:{a}a', false],
  ['mr:{a}?', 'mr:{a}b', true],
  ['mr:{a}?', 'mr:{a}bc', false],
  ['[ab]x', 'bx', true],
  ['[^ab]x', 'bx', false],
  ['[a-c]x', 'bx', true],
  ['a\\*b', 'a*b', true],
  ['a\\*b', 'axb', false],
  ['a.b', 'axb', false],
  ['a\nb*', 'a\nb\nc', true],
  ['[', '[', true],
])('%s and %s: %s', (glob, key, fits) => {
  expect(globToPattern(glob).test(key)).toBe(fits)
})

it('knows event streams and their companions by their keys', () => {
  expect(streamKeyOf('mr:{orders}orders')).toEqual({
    kind: 'stream',
    key: 'mr:{orders}orders',
    name: 'orders',
  })
  expect(streamKeyOf('mr:{shop}orders:dead:billing')).toEqual({
    kind: 'dead',
    key: 'mr:{shop}orders:dead:billing',
    of: 'mr:{shop}orders',
    group: 'billing',
  })
  expect(streamKeyOf('mr:{orders}orders:redrive:a.b')).toMatchObject({
    kind: 'redrive',
    group: 'a.b',
  })
  expect(streamKeyOf('plain:dead:x')).toMatchObject({ kind: 'stream', name: '' })
})
