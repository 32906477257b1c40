import { type Fault, standalone } from './fault.ts'

/** What an operator, or Redis itself, does to connections. */
export const clientFaults: readonly Fault[] = [
  standalone({
    name: 'client-kill',
    about: 'CLIENT KILL of all connections, five times in 2.5 s',
    short: true,
    async inject({ bed, pause }) {
      for (let time = 0; time < 5; time += 1) {
        await bed.server.client().call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
        await pause(500)
      }
    },
  }),
  standalone({
    name: 'client-pause-all',
    about: 'CLIENT PAUSE of everything for 6 s, longer than a lease',
    async inject({ bed, pause }) {
      await bed.server.client().call('CLIENT', 'PAUSE', 6_000, 'ALL')
      await pause(6_000)
    },
  }),
  standalone({
    name: 'client-pause-write',
    about: 'CLIENT PAUSE of writes for 3 s',
    short: true,
    async inject({ bed, pause }) {
      await bed.server.client().call('CLIENT', 'PAUSE', 3_000, 'WRITE')
      await pause(3_000)
    },
  }),
  standalone({
    name: 'client-unblock',
    about: 'CLIENT UNBLOCK … ERROR of every blocked connection, again and again for 2 s',
    async inject({ bed, pause }) {
      const client = bed.server.client()
      for (let time = 0; time < 20; time += 1) {
        const blocked = String(await client.call('CLIENT', 'LIST'))
          .split('\n')
          .filter((line) => / flags=[A-Za-z]*b/.test(line))
        for (const line of blocked) {
          const id = /^id=(\d+)/.exec(line)?.[1]
          if (id !== undefined) await client.call('CLIENT', 'UNBLOCK', id, 'ERROR')
        }
        await pause(100)
      }
    },
  }),
  standalone({
    name: 'too-many-clients',
    about: 'all connections killed and new ones refused with “max number of clients” for 3 s',
    async inject({ bed, pause }) {
      const client = bed.server.client()
      await client.ping()
      await bed.set('maxclients', '1')
      await client.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
      await pause(3_000)
      await bed.reset('maxclients')
    },
  }),
  standalone({
    name: 'script-flush',
    about: 'SCRIPT FLUSH every 50 ms for 3 s',
    short: true,
    async inject({ bed, pause }) {
      for (let time = 0; time < 60; time += 1) {
        await bed.server.client().script('FLUSH')
        await pause(50)
      }
    },
  }),
]
