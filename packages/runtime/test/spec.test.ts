import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'

const root = new URL('../', import.meta.url).pathname
const testFiles = readdirSync(`${root}test`, { recursive: true, encoding: 'utf8' }).filter((file) =>
  file.endsWith('.test.ts'),
)

describe.each(specs())('%s', (spec) => {
  it('names tests that exist for each of its invariants', () => {
    const claims = claimsOf(readFileSync(`${root}${spec}`, 'utf8'), spec)
    expect(claims.length).toBeGreaterThan(0)
    expect(claims.filter((claim) => !isShown(claim, spec))).toEqual([])
  })
})

interface Claim {
  readonly file: string
  /** Undefined where all tests of the file show the invariant. */
  readonly title: string | undefined
}

function specs(): string[] {
  const parts = readdirSync(`${root}src`)
    .map((folder) => `src/${folder}/SPEC.md`)
    .filter((file) => existsSync(`${root}${file}`))
  return ['SPEC.md', 'LESSONS.md', ...parts]
}

/** `Enforced by: file: title; file: title; title of the same file`, up to the end of the invariant. */
function claimsOf(text: string, spec: string): Claim[] {
  const claims: Claim[] = []
  for (const [, body = ''] of text.matchAll(
    /Enforced by:\s*([\s\S]*?)(?=\n\s*\n|\n- \*\*|\n#|\n\n|$)/g,
  )) {
    let file = ''
    for (const part of plain(body).replace(/\.$/, '').split(/;\s+/)) {
      const named = /^(\S+\.test\.ts)(?::\s*(.*)|\s*\(.*)?$/.exec(part)
      if (named !== null) file = named[1] ?? ''
      const title = named === null ? part : named[2]
      claims.push({ file, title: title?.replace(/ \([^)]*\)$/, '').replace(/\.$/, '') })
    }
    expect(file, `an invariant of ${spec} names no test file: ${body}`).not.toBe('')
  }
  return claims
}

function isShown({ file, title }: Claim, spec: string): boolean {
  const folder = spec.split('/')[1] ?? ''
  const candidates = testFiles.filter(
    (known) =>
      `test/${known}` === file ||
      known === file ||
      known === `${folder}/${file}` ||
      known.endsWith(`/${file}`),
  )
  return candidates.some((known) => {
    if (title === undefined) return true
    return plain(readFileSync(`${root}test/${known}`, 'utf8')).includes(title)
  })
}

/** White space as one blank, and no marks that only the page needs. */
function plain(text: string): string {
  return text
    .replaceAll(/[`*\\]/g, '')
    .replaceAll(/\s+/g, ' ')
    .trim()
}
