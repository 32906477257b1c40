import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { contentOf } from './chapter.ts'
import { fillMarkers } from './markers.ts'
import { htmlPage } from './pages/html.ts'
import { markdownPage } from './pages/markdown.ts'
import type { Results } from './results.ts'
import { subjects } from './subjects.ts'

/** The root of the repository. */
export const root: string = fileURLToPath(new URL('../../..', import.meta.url))

export const RESULTS = 'benchmarks/results'

/** Made of nothing but results; all other pages have their own words. */
const generated = { markdown: 'docs/benchmarks.md', html: 'docs/benchmarks.html' }

/** Both pages about all benchmarks. */
export function reportPages(results: Results): { markdown: string; html: string } {
  const content = contentOf(subjects, results)
  return { markdown: markdownPage(content), html: htmlPage(content) }
}

/** Every file of the repository that has something from the results, as it should be, by its path. */
export function outputs(results: Results): Map<string, string> {
  const { markdown, html } = reportPages(results)
  return new Map([
    [generated.markdown, markdown],
    [generated.html, html],
    ...writtenPages().map((path): [string, string] => [path, filled(path, results)]),
  ])
}

/** The pages that people have written and whose figures come from results. */
export function writtenPages(): string[] {
  const docs = readdirSync(`${root}docs`)
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`)
  const readmes = ['packages', 'apps'].flatMap((folder) =>
    readdirSync(`${root}${folder}`).map((name) => `${folder}/${name}/README.md`),
  )
  return ['README.md', ...docs, ...readmes].filter(
    (path) => path !== generated.markdown && existsSync(`${root}${path}`),
  )
}

function filled(path: string, results: Results): string {
  try {
    return fillMarkers(readFileSync(`${root}${path}`, 'utf8'), results)
  } catch (error) {
    throw new Error(`${path}: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    })
  }
}
