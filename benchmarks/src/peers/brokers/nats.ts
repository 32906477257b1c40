import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BrokerChoice } from './broker.ts'
import { BrokerProcess, freePort, programVersion } from './broker-process.ts'

/**
 * nats-server with JetStream in a folder. Files are flushed every two minutes by default
 * (`sync_interval`), so an event is confirmed once the operating system has it.
 */
export async function startNatsBroker(): Promise<BrokerChoice> {
  const version = await programVersion('nats-server', ['--version'], /v(\d\S*)/)
  if (version === undefined) return { reason: 'nats-server is not on PATH (Debian: nats-server)' }
  const folder = await mkdtemp(join(tmpdir(), 'millrace-nats-'))
  const port = await freePort()
  const process = new BrokerProcess({
    command: 'nats-server',
    args: ['-a', '127.0.0.1', '-p', String(port), '-js', '-sd', folder],
    folder,
    readyPort: port,
    readyWithinMs: 10_000,
  })
  await process.start()
  let places = 0
  return {
    broker: {
      version: `nats-server ${version}`,
      pids: () => process.pids(),
      emptyPlace: () => {
        places += 1
        return Promise.resolve({ url: `nats://127.0.0.1:${port}`, prefix: `p${places}:` })
      },
      kill: () => process.kill(),
      restart: () => process.start(),
      [Symbol.asyncDispose]: async () => {
        await process.kill()
        await rm(folder, { recursive: true, force: true, maxRetries: 3 })
      },
    },
  }
}
