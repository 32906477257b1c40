import { withoutMarkers } from '../../src/report/markers.ts'

/** A number with a unit in which speed, delay, memory or a share of them is told. */
const FIGURE =
  /(?<![\w.#-])~?\d[\d,.]*\s?k?(?:µs|ms|s|%|×|MiB|KiB|MB|GiB|\/s|k\/s|percent|times as|times faster|events (?:a|per) second|(?:a|per) second|milliseconds|seconds)(?!\w)/

/** Words of somebody who has measured, and not of somebody who sets a limit. */
const MEASURED =
  /\b(?:(?<!last )measured|measurements?|took|reach(?:es|ed)|median|p50|p95|p99|faster|slower|times as|throughput|CPU|overhead)\b/i

export interface Unmarked {
  readonly line: number
  readonly text: string
}

/** Sentences and table rows with a figure that somebody seems to have measured, and that has no marker. */
export function unmarkedFigures(page: string): Unmarked[] {
  const found: Unmarked[] = []
  for (const { line, text } of blocksOf(withoutMarkers(page))) {
    for (const unit of unitsOf(text)) {
      if (FIGURE.test(unit.replaceAll(/`[^`]*`/g, '')) && MEASURED.test(unit))
        found.push({ line, text: unit })
    }
  }
  return found
}

/** Paragraphs, lists and tables with the number of their first line; fenced blocks are left out. */
function blocksOf(page: string): Unmarked[] {
  const blocks: { line: number; lines: string[] }[] = []
  let fenced = false
  let isOpen = false
  for (const [index, text] of page.split('\n').entries()) {
    if (text.startsWith('```')) fenced = !fenced
    if (fenced || text.startsWith('```') || text.trim() === '') isOpen = false
    else if (isOpen && !text.startsWith('- ')) blocks.at(-1)?.lines.push(text)
    else {
      blocks.push({ line: index + 1, lines: [text] })
      isOpen = true
    }
  }
  return blocks.map(({ line, lines }) => ({ line, text: lines.join('\n') }))
}

/** The sentences of a paragraph; the rows of a table, each below the table's header. */
function unitsOf(block: string): string[] {
  if (block.startsWith('|')) {
    const [header = '', , ...rows] = block.split('\n')
    return rows.map((row) => `${header} ${row}`)
  }
  return block.replaceAll('\n', ' ').split(/(?<=[.!?])\s+/)
}
