/**
 * Pages show outputs with ids as they were on one day. What a run prints has other ids, so both are
 * compared with each id of the page standing for whatever id the run has in its place, the same one
 * wherever the page repeats it. `…` stands for anything on a line.
 */
export class SampleIds {
  readonly #actual = new Map<string, string>()

  /** A command of the page, with the ids that the run has in their places. */
  translate(text: string): string {
    return text.replaceAll(ID, (id) => this.#actual.get(id) ?? id)
  }

  /** Reads the ids of a run off its output; answers the page's text as it should have been. */
  learn(shown: string, actual: string): string {
    const shownLines = shown.split('\n')
    const actualLines = actual.split('\n')
    return shownLines.map((line, i) => this.#learnLine(line, actualLines[i] ?? '')).join('\n')
  }

  #learnLine(shown: string, actual: string): string {
    const pattern = shown
      .split(/(\d{13}-\d+|…)/)
      .map((part) =>
        part === '…' ? '.*' : ID_ONLY.test(part) ? String.raw`(\d{13}-\d+)` : escape(part),
      )
      .join('')
    const found = new RegExp(`^${pattern}$`).exec(actual)
    if (found === null) return this.translate(shown)
    for (const [i, id] of (shown.match(ID) ?? []).entries()) {
      const there = found[i + 1]
      if (there !== undefined && !this.#actual.has(id)) this.#actual.set(id, there)
    }
    const translated = this.translate(shown)
    // What `…` hides is taken over, so that the two can be compared as texts.
    return sameButHidden(translated, actual) ? actual : translated
  }
}

const ID = /\d{13}-\d+/g
const ID_ONLY = /^\d{13}-\d+$/

function sameButHidden(shown: string, actual: string): boolean {
  return new RegExp(`^${shown.split('…').map(escape).join('.*')}$`).test(actual)
}

function escape(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\/]/g, String.raw`\$&`)
}
