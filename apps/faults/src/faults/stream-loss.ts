import { type Fault, standalone } from './fault.ts'

/** What happens to the stream and to the keys beside it, while everyone works. */
export const streamFaults: readonly Fault[] = [
  standalone({
    name: 'flush-all',
    about: 'FLUSHALL',
    short: true,
    removes: true,
    async inject({ bed }) {
      await bed.server.client().flushall()
    },
  }),
  standalone({
    name: 'stream-deleted',
    about: 'DEL of the stream, with all its consumer groups',
    short: true,
    removes: true,
    async inject({ bed, keys }) {
      await bed.server.client().del(keys.stream)
    },
  }),
  standalone({
    name: 'stream-deleted-thrice',
    about: 'DEL of the stream three times within a second',
    removes: true,
    async inject({ bed, keys, pause }) {
      for (let time = 0; time < 3; time += 1) {
        await bed.server.client().del(keys.stream)
        await pause(300)
      }
    },
  }),
  standalone({
    name: 'stream-renamed',
    about: 'RENAME of the stream to another name',
    short: true,
    removes: true,
    async inject({ bed, keys }) {
      await bed.server.client().rename(keys.stream, `${keys.stream}:renamed`)
    },
  }),
  standalone({
    name: 'everything-evicted',
    about: 'maxmemory reached with allkeys-random: every key evicted, for 300 ms',
    removes: true,
    async inject({ bed, pause }) {
      await bed.set('maxmemory-policy', 'allkeys-random')
      await bed.set('maxmemory', '1')
      await pause(300)
      await bed.reset('maxmemory')
      await bed.reset('maxmemory-policy')
    },
  }),
  standalone({
    name: 'books-deleted',
    about: 'DEL of the producers’ records: nothing tells which batch was the last',
    async inject({ bed, keys }) {
      await bed.server.client().del(keys.producers)
    },
  }),
  standalone({
    name: 'states-deleted',
    about: 'DEL of the state of every consumer and consumer group',
    async inject({ bed, keys }) {
      const readers = ['ledger', 'board', 'mail', 'billing']
      await bed.server.client().del(...readers.map((reader) => keys.state(reader)))
    },
  }),
  standalone({
    name: 'incarnation-deleted',
    about: 'DEL of the stream’s own record, so that everyone begins at its start again',
    async inject({ bed, keys }) {
      await bed.server.client().del(keys.meta)
    },
  }),
]
