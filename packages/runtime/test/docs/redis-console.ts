/** Commands and replies as a page shows them, in the manner of `redis-cli`. */
export interface Exchange {
  readonly command: string
  readonly reply: string
}

const PROMPT = 'redis> '

/** The commands of a block and the lines below each. */
export function exchangesOf(text: string): Exchange[] {
  return text
    .split(new RegExp(`^${PROMPT}`, 'm'))
    .slice(1)
    .map((part) => {
      const [command = '', ...reply] = part.trimEnd().split('\n')
      return { command, reply: reply.join('\n') }
    })
}

/** The words of a command; quotes keep spaces together. */
export function wordsOf(command: string): string[] {
  const words: string[] = []
  for (const [, single, double, plain] of command.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)) {
    words.push(single ?? double ?? plain ?? '')
  }
  return words
}

/** A reply as `redis-cli` prints it. */
export function formatReply(reply: unknown, indent = ''): string {
  if (reply === null || reply === undefined) return '(nil)'
  if (typeof reply === 'number') return `(integer) ${reply}`
  if (reply === 'OK') return 'OK'
  if (typeof reply === 'string') return JSON.stringify(reply)
  if (!Array.isArray(reply)) throw new TypeError(`a reply of type ${typeof reply}`)
  if (reply.length === 0) return '(empty array)'
  const width = String(reply.length).length
  return reply
    .map((item: unknown, i) => {
      const mark = `${String(i + 1).padStart(width)}) `
      return `${i === 0 ? '' : indent}${mark}${formatReply(item, indent + ' '.repeat(mark.length))}`
    })
    .join('\n')
}
