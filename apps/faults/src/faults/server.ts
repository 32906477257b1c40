import { type Fault, standalone } from './fault.ts'

/** What happens to the Redis server; its append-only file is flushed at every write. */
export const serverFaults: readonly Fault[] = [
  standalone({
    name: 'redis-killed',
    about: 'kill -9 of Redis, started again from its append-only file after 1 s',
    short: true,
    async inject({ bed, pause }) {
      await bed.server.kill('SIGKILL')
      await pause(1_000)
      await bed.server.restart()
    },
  }),
  standalone({
    name: 'redis-restarted',
    about: 'Redis shut down in order and started again from its append-only file',
    async inject({ bed }) {
      await bed.server.stop()
      await bed.server.restart()
    },
  }),
  standalone({
    name: 'redis-killed-thrice',
    about: 'kill -9 and restart of Redis three times in a row',
    async inject({ bed, pause }) {
      for (let time = 0; time < 3; time += 1) {
        await bed.server.kill('SIGKILL')
        await bed.server.restart()
        await pause(400)
      }
    },
  }),
  standalone({
    name: 'redis-stopped',
    about: 'SIGSTOP of Redis for 3 s',
    short: true,
    inject: ({ bed, pause }) => standStill(bed.server, pause, 3_000),
  }),
  standalone({
    name: 'redis-stopped-long',
    about:
      'SIGSTOP of Redis for 8 s: longer than leases and than what a silent connection is given',
    inject: ({ bed, pause }) => standStill(bed.server, pause, 8_000),
  }),
]

async function standStill(
  server: { kill(signal: NodeJS.Signals): Promise<void> },
  pause: (ms: number) => Promise<void>,
  ms: number,
): Promise<void> {
  await server.kill('SIGSTOP')
  try {
    await pause(ms)
  } finally {
    await server.kill('SIGCONT')
  }
}
