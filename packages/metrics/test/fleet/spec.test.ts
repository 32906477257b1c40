import { readdirSync, readFileSync } from 'node:fs'
import { expect, it } from 'vitest'

const root = new URL('../../', import.meta.url).pathname
const spec = readFileSync(`${root}src/fleet/SPEC.md`, 'utf8')
const files = readdirSync(`${root}test`, { recursive: true, encoding: 'utf8' }).filter((file) =>
  file.endsWith('.test.ts'),
)

it('the specification names a test that exists for each of its invariants', () => {
  const invariants = [...spec.matchAll(/^- \*\*(I\d+)\*\* ([^]*?)(?=\n- \*\*|\n#|$(?![^]))/gm)]
  expect(invariants.length).toBeGreaterThan(10)
  expect(invariants.map(([, name]) => name)).toEqual(invariants.map((_, index) => `I${index + 1}`))
  const missing = invariants.flatMap(([, name = '', body = '']) => {
    const [, claims = ''] = body.split('Enforced by: ')
    const [, file = '', titles = ''] = /^(\S+\.test\.ts): ([^]*)$/.exec(claims.trim()) ?? []
    const path = files.find((known) => known.endsWith(`/${file}`))
    if (path === undefined) return [`${name}: no file ${file}`]
    const text = readFileSync(`${root}test/${path}`, 'utf8')
    return titles
      .split('; ')
      .filter((title) => !text.includes(title))
      .map((title) => `${name}: ${title}`)
  })
  expect(missing).toEqual([])
})
