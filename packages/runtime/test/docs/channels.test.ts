import { expect, test } from 'vitest'
import { channels } from '../../src/index.ts'
import { page } from './pages.ts'

test('the page about the runtime has every diagnostics channel under its name', () => {
  const { text } = page('packages/runtime/README.md')
  const listed = [...text.matchAll(/^\| `(\w+)` \| `(millrace:[^`]+)` \|/gm)].map(
    ([, key, name]) => [key, name],
  )
  expect(listed).toEqual(Object.entries(channels).map(([key, { name }]) => [key, name]))
})
