import { type Fault, standalone } from './fault.ts'

/** What an operator may do to consumer groups under live members. */
export const groupFaults: readonly Fault[] = [
  standalone({
    name: 'group-destroyed',
    about: 'XGROUP DESTROY of every group, and of the images of the consumers’ positions',
    short: true,
    async inject({ bed, keys }) {
      for (const name of ['mail', 'billing', 'ledger', 'board'])
        await bed.server.client().xgroup('DESTROY', keys.stream, name)
    },
  }),
  standalone({
    name: 'group-destroyed-often',
    about: 'XGROUP DESTROY of both groups ten times in 2 s',
    async inject({ bed, keys, pause }) {
      for (let time = 0; time < 10; time += 1) {
        for (const name of ['mail', 'billing'])
          await bed.server.client().xgroup('DESTROY', keys.stream, name)
        await pause(200)
      }
    },
  }),
  standalone({
    name: 'members-deleted',
    about: 'XGROUP DELCONSUMER of every live member, with what was pending for it',
    short: true,
    async inject({ bed, keys }) {
      const client = bed.server.client()
      for (const group of ['mail', 'billing']) {
        for (const name of await consumersOf(client.call('XINFO', 'CONSUMERS', keys.stream, group)))
          await client.xgroup('DELCONSUMER', keys.stream, group, name)
      }
    },
  }),
]

async function consumersOf(reply: Promise<unknown>): Promise<readonly string[]> {
  const rows = await reply
  if (!Array.isArray(rows)) return []
  return rows.flatMap((row: unknown) => {
    const fields: readonly unknown[] = Array.isArray(row) ? row : []
    const name = fields[fields.indexOf('name') + 1]
    return typeof name === 'string' ? [name] : []
  })
}
