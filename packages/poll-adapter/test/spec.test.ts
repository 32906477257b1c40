import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

const root = new URL('../', import.meta.url).pathname

const specs = readdirSync(`${root}src`)
  .map((folder) => ({ folder, path: `${root}src/${folder}/SPEC.md` }))
  .filter(({ path }) => existsSync(path))

test.each(specs)('each invariant of $folder names tests that exist', ({ folder, path }) => {
  const claims = claimsOf(readFileSync(path, 'utf8'))
  expect(claims.length).toBeGreaterThan(0)
  expect(claims.filter((claim) => !isShown(claim, folder))).toEqual([])
})

interface Claim {
  readonly file: string
  /** A test's title, or a part of one; empty where all tests of the file show the invariant. */
  readonly title: string
}

/** `Enforced by: file: title; another title; file: title`, up to the end of the invariant. */
function claimsOf(text: string): Claim[] {
  const bodies = text.matchAll(/Enforced by:([\s\S]*?)(?=\n\s*\n|\n- \*\*|\n#|$(?![\s\S]))/g)
  return [...bodies].flatMap(([, body = '']) => {
    let file = ''
    return plain(body)
      .replace(/\.$/, '')
      .split('; ')
      .map((part) => {
        const match = /^(?:test\/)?(\S+\.test\.ts)(?:: (.*))?$/.exec(part)
        file = match?.[1] ?? file
        return { file, title: (match === null ? part : (match[2] ?? '')).trim() }
      })
  })
}

function isShown({ file, title }: Claim, folder: string): boolean {
  return [`${root}test/${file}`, `${root}test/${folder}/${file}`].some(
    (path) => existsSync(path) && plain(readFileSync(path, 'utf8')).includes(title),
  )
}

/** Whatever a formatter has done to lines. */
function plain(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim()
}
