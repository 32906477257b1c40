import type { Chapter, Content } from '../chapter.ts'
import { comparison } from '../comparison.ts'
import { barChart } from '../plots/bar-chart.ts'
import { heatMap } from '../plots/heat-map.ts'
import { lineChart } from '../plots/line-chart.ts'
import type { Plot } from '../plots/plot.ts'
import { escaped } from '../plots/svg.ts'
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
import { style } from './style.ts'

/** `docs/benchmarks.html`: one file that needs nothing else, and no script. */
export function htmlPage(content: Content): string {
  const { chapters } = content
  const isShort = chapters.some(({ result }) => isQuick(result))
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>Millrace: benchmarks</title>
<style>${style}</style>
</head>
<body>
<main>
<h1>Millrace: benchmarks</h1>
${[
  ...introduction.map(paragraph),
  paragraph(
    'Bars are medians, and the dots on them single rounds. Whatever is drawn tells its figure to a pointer that rests on it.',
  ),
  ...(isShort ? [`<p class="warning">${escaped(quickWarning)}</p>`] : []),
  contents(chapters),
  '<h2>What is promised</h2>',
  gridOf(promisesGrid(content)),
  paragraph(verdict(content)),
  ...[missing(content)].flatMap((one) => (one === undefined ? [] : [paragraph(one)])),
  '<h2>Where and when</h2>',
  gridOf(originsGrid(content)),
  ...chapters.map(chapterOf),
].join('\n')}
</main>
</body>
</html>
`
}

function contents(chapters: readonly Chapter[]): string {
  return `<nav>${chapters.map(({ name }) => `<a href="#${name}">${name}</a>`).join(' ')}</nav>`
}

function chapterOf({ name, summary, result, plots }: Chapter): string {
  return [
    `<section id="${name}">`,
    `<h2>${name}</h2>`,
    paragraph(summary.replace(/^./, (letter) => letter.toUpperCase())),
    ...(plots.length === 0 ? [] : [`<div class="plots">${plots.map(figureOf).join('\n')}</div>`]),
    ...(result.criteria.length === 0 ? [] : [gridOf(criteriaGrid(result))]),
    ...comparison(result).map(paragraph),
    ...(Object.keys(result.ratios).length === 0
      ? []
      : [folded('ratios', gridOf(figuresGrid('ratio', result.ratios)))]),
    ...(result.notes ?? []).map((note) =>
      isDrawn(note) ? `<pre>${escaped(note)}</pre>` : note.split('\n').map(paragraph).join('\n'),
    ),
    folded('all values', gridOf(figuresGrid('value', result.values))),
    '</section>',
  ].join('\n')
}

function figureOf(plot: Plot): string {
  return `<figure class="${plot.kind}">
<figcaption>${escaped(plot.title)}${captionOf(plot)}</figcaption>
${legendOf(plot)}${drawn(plot)}
</figure>`
}

/** What the vertical axis counts: it stands above, where it can be read without turning one's head. */
function captionOf(plot: Plot): string {
  if (plot.kind === 'lines') return ` <span>${escaped(plot.y.label)}</span>`
  if (plot.kind === 'bars') return ` <span>${escaped(plot.unit)}</span>`
  return ''
}

/** One line needs no legend, its name is in the title. */
function legendOf(plot: Plot): string {
  if (plot.kind === 'heat')
    return `<ul class="legend"><li class="less2">ours takes less</li><li class="even">about the same</li><li class="more2">polling takes less</li></ul>`
  if (plot.kind !== 'lines' || plot.lines.length < 2) return ''
  const items = plot.lines.map(
    ({ name }, index) => `<li class="s${index + 1}">${escaped(name)}</li>`,
  )
  return `<ul class="legend">${items.join('')}</ul>`
}

function drawn(plot: Plot): string {
  switch (plot.kind) {
    case 'lines':
      return lineChart(plot)
    case 'bars':
      return barChart(plot)
    case 'heat':
      return heatMap(plot)
    default: {
      const never: never = plot
      return never
    }
  }
}

/** A wide table scrolls in its own frame, and the page never does. */
function gridOf({ header, rows }: Grid): string {
  const head = header.map((cell) => `<th>${escaped(cell)}</th>`).join('')
  const body = rows.map((row) => `<tr>${row.map(cellOf).join('')}</tr>`).join('\n')
  return `<div class="scroll" tabindex="0"><table><thead><tr>${head}</tr></thead><tbody>\n${body}\n</tbody></table></div>`
}

function cellOf(cell: string): string {
  const verdicts: Readonly<Record<string, string>> = { pass: 'pass', FAIL: 'fail' }
  const kind = verdicts[cell]
  return kind === undefined ? `<td>${inline(cell)}</td>` : `<td class="${kind}">${cell}</td>`
}

function folded(title: string, body: string): string {
  return `<details><summary>${title}</summary>${body}</details>`
}

function paragraph(sentence: string): string {
  return `<p>${inline(sentence)}</p>`
}

function inline(content: string): string {
  return escaped(content).replaceAll(/`([^`]+)`/g, '<code>$1</code>')
}
