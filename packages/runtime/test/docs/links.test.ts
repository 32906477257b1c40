import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { type Page, page, pages, proseOf, root } from './pages.ts'

describe.each(pages())('$path', (from) => {
  test('leads only to files and headings that exist', () => {
    const dead = linksOf(from).filter((link) => !leadsSomewhere(from, link))
    expect(dead).toEqual([])
  })
})

function linksOf(from: Page): string[] {
  return [...proseOf(from).matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target]) => target ?? '')
    .filter((target) => !/^https?:/.test(target))
}

function leadsSomewhere(from: Page, link: string): boolean {
  const [file = '', anchor] = link.split('#')
  const path = file === '' ? from.path : join(dirname(from.path), file)
  if (!existsSync(`${root}/${path}`)) return false
  return anchor === undefined || headingsOf(page(path)).includes(anchor)
}

/** The anchors that a page's headings get. */
function headingsOf(of: Page): string[] {
  return [...proseOf(of).matchAll(/^#+ (.*)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .trim()
      .replaceAll(/\s/g, '-'),
  )
}
