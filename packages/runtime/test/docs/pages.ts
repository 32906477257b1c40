import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** The root of the repository. */
export const root: string = fileURLToPath(new URL('../../../..', import.meta.url))

/** One page of the documentation. */
export interface Page {
  /** From the root of the repository. */
  readonly path: string
  readonly text: string
}

/** A fenced block of a page. */
export interface Block {
  readonly language: string
  /** Whether the fence says `run`. */
  readonly isRun: boolean
  /** The file that the fence says the block is. */
  readonly file: string | undefined
  readonly text: string
  /** The line of the opening fence, from 1. */
  readonly line: number
}

/** All pages that users read. */
export function pages(): Page[] {
  const inDocs = readdirSync(`${root}/docs`).filter((name) => name.endsWith('.md'))
  const ofPackages = readdirSync(`${root}/packages`).map((name) => `packages/${name}/README.md`)
  return ['README.md', 'CONTRIBUTING.md', ...inDocs.map((name) => `docs/${name}`), ...ofPackages]
    .filter((path) => existsSync(`${root}/${path}`))
    .map((path) => page(path))
}

export function page(path: string): Page {
  return { path, text: readFileSync(`${root}/${path}`, 'utf8') }
}

/** The fenced blocks of a page, in order. */
export function blocksOf({ text }: Page): Block[] {
  const blocks: Block[] = []
  let open: { info: string; line: number; lines: string[] } | undefined
  for (const [index, line] of text.split('\n').entries()) {
    const fence = /^```(.*)$/.exec(line)
    if (fence === null) open?.lines.push(line)
    else if (open === undefined) open = { info: fence[1] ?? '', line: index + 1, lines: [] }
    else {
      const [language = '', mark] = open.info.trim().split(' ')
      const file = mark?.endsWith('.ts') === true ? mark : undefined
      const { line: from, lines } = open
      blocks.push({ language, isRun: mark === 'run', file, text: lines.join('\n'), line: from })
      open = undefined
    }
  }
  return blocks
}

/** The page without its fenced blocks. */
export function proseOf({ text }: Page): string {
  return text.replaceAll(/^```[\s\S]*?^```$/gm, '')
}
