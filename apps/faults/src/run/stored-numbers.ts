import type { RedisServer } from '@millrace/testkit'

const PAGE = 5_000

/** The numbers of the events in a stream, or in a stream of dead letters, in their order. */
export async function numbersIn(server: RedisServer, key: string): Promise<readonly number[]> {
  const numbers: number[] = []
  let from = '-'
  for (;;) {
    const page = await server.client().xrange(key, from, '+', 'COUNT', PAGE)
    for (const [, fields] of page) {
      const data = fields[fields.indexOf('data') + 1]
      if (data !== undefined) numbers.push((JSON.parse(data) as { number: number }).number)
    }
    const last = page.at(-1)
    if (last === undefined || page.length < PAGE) return numbers
    from = `(${last[0]}`
  }
}
