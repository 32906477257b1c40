import { compareIds } from '../stream/stream-id.ts'

/** Events done above the position: from the first to the last id, both included. */
export interface Range {
  readonly from: string
  readonly to: string
}

/** More ranges than this are not stored: what they cover is done again after a crash. */
export const MOST_RANGES = 256

/** As text for the state in Redis: `from>to,from>to`. */
export function formatRanges(ranges: readonly Range[]): string {
  return ranges.map(({ from, to }) => `${from}>${to}`).join(',')
}

export function parseRanges(text: string): Range[] {
  if (text === '') return []
  return text.split(',').flatMap((part) => {
    const [from, to] = part.split('>')
    return from === undefined || to === undefined ? [] : [{ from, to }]
  })
}

/** Whether the id lies in one of the ranges, which are in order and do not overlap. */
export function inRanges(ranges: readonly Range[], id: string): boolean {
  let low = 0
  let high = ranges.length - 1
  while (low <= high) {
    const middle = (low + high) >> 1
    const range = ranges[middle]
    if (range === undefined) return false
    if (compareIds(id, range.from) < 0) high = middle - 1
    else if (compareIds(id, range.to) > 0) low = middle + 1
    else return true
  }
  return false
}
