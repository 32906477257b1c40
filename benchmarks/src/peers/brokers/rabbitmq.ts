import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BrokerChoice } from './broker.ts'
import { BrokerProcess, freePort, programVersion } from './broker-process.ts'

/** Where packages put it. What is on PATH wraps this in a change of user. */
const HOME = '/usr/lib/rabbitmq'
const FOLDER = /^rabbitmq_server-((\d+)\.(\d+)\.\S+)$/

/**
 * Erlang's port mapper is started beforehand, because the node would start it as a daemon that stays when
 * the node is killed.
 */
const START =
  'epmd -address 127.0.0.1 & until epmd -names >/dev/null 2>&1; do sleep 0.05; done; exec "$0"'

/**
 * One RabbitMQ node with the stream plugin, data in a folder, all its ports on the loopback address.
 * Streams are never flushed before they are confirmed; that is left to the operating system, as its
 * documentation says.
 */
export async function startRabbitBroker(): Promise<BrokerChoice> {
  const version = await installedVersion()
  if (version === undefined) return { reason: 'there is no RabbitMQ (Debian: rabbitmq-server)' }
  if (version.isTooOld)
    return {
      reason: `RabbitMQ ${version.text} does not know the exchange of command versions with which the newest client begins; 3.11 does`,
    }
  const erlang = await programVersion('erl', ['-version'], /version (\S+)/)
  if (erlang === undefined) return { reason: 'there is no Erlang, which RabbitMQ needs' }
  const folder = await mkdtemp(join(tmpdir(), 'millrace-rabbitmq-'))
  const port = await freePort()
  const amqp = await freePort()
  const distribution = await freePort()
  const mapper = await freePort()
  const configuration = join(folder, 'rabbitmq')
  await writeFile(
    `${configuration}.conf`,
    [
      `listeners.tcp.1 = 127.0.0.1:${amqp}`,
      `stream.listeners.tcp.1 = 127.0.0.1:${port}`,
      // Clients are told where the stream is; this is where they are to go.
      'stream.advertised_host = 127.0.0.1',
      `stream.advertised_port = ${port}`,
      'log.console = true',
      'log.file = false',
      '',
    ].join('\n'),
  )
  const plugins = join(folder, 'enabled_plugins')
  await writeFile(plugins, '[rabbitmq_stream].\n')
  const process = new BrokerProcess({
    command: 'sh',
    args: ['-c', START, `${HOME}/bin/rabbitmq-server`],
    folder,
    env: {
      HOME: folder,
      RABBITMQ_NODENAME: `millrace-${port}@localhost`,
      RABBITMQ_CONFIG_FILE: configuration,
      RABBITMQ_ENABLED_PLUGINS_FILE: plugins,
      RABBITMQ_MNESIA_BASE: folder,
      RABBITMQ_LOG_BASE: folder,
      RABBITMQ_PID_FILE: join(folder, 'pid'),
      RABBITMQ_DIST_PORT: String(distribution),
      ERL_EPMD_PORT: String(mapper),
      ERL_EPMD_ADDRESS: '127.0.0.1',
      RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '-kernel inet_dist_use_interface {127,0,0,1}',
    },
    readyPort: port,
    readyWithinMs: 120_000,
  })
  await process.start()
  let places = 0
  return {
    broker: {
      version: `rabbitmq-server ${version.text}, Erlang ${erlang}`,
      pids: () => process.pids(),
      emptyPlace: () => {
        places += 1
        return Promise.resolve({ url: `stream://127.0.0.1:${port}`, prefix: `p${places}:` })
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

async function installedVersion(): Promise<
  { readonly text: string; readonly isTooOld: boolean } | undefined
> {
  const names = await readdir(join(HOME, 'lib')).catch(() => [])
  const found = names.map((name) => FOLDER.exec(name)).find((match) => match !== null)
  if (found === undefined) return undefined
  const [, text = '', major, minor] = found
  return { text, isTooOld: Number(major) === 3 && Number(minor) < 11 }
}
