import { type Fault, standalone } from './fault.ts'

const HOUR_MS = 3_600_000

/** What a server's clock that goes backwards does to a stream: its last id lies in the future. */
export const clockFaults: readonly Fault[] = [
  standalone({
    name: 'clock-backwards',
    about: 'the server’s clock is an hour behind the stream’s last id, as after being set back',
    short: true,
    async inject({ bed, keys }) {
      const client = bed.server.client()
      const [seconds = 0] = await client.time()
      await client.call('XSETID', keys.stream, `${Number(seconds) * 1_000 + HOUR_MS}-0`)
    },
  }),
  standalone({
    name: 'clock-jumping',
    about: 'the clock jumps ahead and is set back five times in 1.5 s, by an hour more each time',
    async inject({ bed, keys, pause }) {
      const client = bed.server.client()
      const [seconds = 0] = await client.time()
      for (let time = 2; time <= 6; time += 1) {
        await client.call('XSETID', keys.stream, `${Number(seconds) * 1_000 + time * HOUR_MS}-0`)
        await pause(300)
      }
    },
  }),
]
