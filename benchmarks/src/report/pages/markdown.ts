import type { Chapter, Content } from '../chapter.ts'
import { comparison } from '../comparison.ts'
import { isQuick } from '../results.ts'
import {
  criteriaGrid,
  figuresGrid,
  type Grid,
  introduction,
  isDrawn,
  missing,
  originsGrid,
  promisesGrid,
  quickWarning,
  verdict,
} from './grids.ts'

/** `docs/benchmarks.md`. */
export function markdownPage(content: Content): string {
  const { chapters } = content
  const isShort = chapters.some(({ result }) => isQuick(result))
  return `${[
    '# Benchmarks',
    '<!-- Generated from benchmarks/results: npm run bench:report -->',
    ...introduction,
    'The same with plots is in [benchmarks.html](benchmarks.html), one file to be opened in a browser.',
    ...(isShort ? [`**${quickWarning}**`] : []),
    '## What is promised',
    gridOf(promisesGrid(content)),
    verdict(content),
    ...optional(missing(content)),
    '## Where and when',
    gridOf(originsGrid(content)),
    ...chapters.flatMap(chapterOf),
  ].join('\n\n')}\n`
}

function chapterOf({ name, summary, result }: Chapter): string[] {
  return [
    `## ${name}`,
    `${capitalized(summary)}. \`npm run ${name === 'k6' ? 'bench:k6' : `bench -- ${name}`}\``,
    ...(result.criteria.length === 0 ? [] : [gridOf(criteriaGrid(result))]),
    ...(Object.keys(result.ratios).length === 0
      ? []
      : [gridOf(figuresGrid('ratio', result.ratios))]),
    ...comparison(result),
    ...(result.notes ?? []).map((note) => (isDrawn(note) ? `\`\`\`text\n${note}\n\`\`\`` : note)),
    ...folded(`all values of ${name}`, gridOf(figuresGrid('value', result.values))),
  ]
}

function gridOf({ header, rows }: Grid): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', String.raw`\|`)).join(' | ')} |`
  return [line(header), line(header.map(() => '---')), ...rows.map(line)].join('\n')
}

function folded(title: string, body: string): string[] {
  return [`<details>\n<summary>${title}</summary>`, body, '</details>']
}

function capitalized(sentence: string): string {
  return sentence.replace(/^./, (letter) => letter.toUpperCase())
}

function optional(paragraph: string | undefined): string[] {
  return paragraph === undefined ? [] : [paragraph]
}
