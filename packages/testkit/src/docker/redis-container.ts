import { randomBytes } from 'node:crypto'
import type { StartedTestContainer } from 'testcontainers'
import type { ServerProduct } from '../server/server-binary.ts'

/** Which container {@link startRedisContainer} starts. */
export interface StartRedisContainerOptions {
  /**
   * The image.
   * @defaultValue the newest `redis:8`
   */
  readonly image?: string
  /**
   * Which server the image holds.
   * @defaultValue 'redis'
   */
  readonly product?: ServerProduct
  /** More arguments for the server. */
  readonly args?: readonly string[]
}

/** A server in a container, removed on disposal. */
export interface RedisContainer extends AsyncDisposable {
  /** With the password, `redis://:password@host:port`. */
  readonly url: string
  readonly host: string
  /** The published port. Docker draws another one when the container is restarted. */
  readonly port: number
  /** Drawn at random: Docker publishes the port on all interfaces, for anybody near to try. */
  readonly password: string
  readonly image: string
  readonly id: string
}

const SERVER_PORT = 6379
const DEFAULTS = Object.freeze({
  image: 'redis:8',
  product: 'redis',
  args: [],
} as const satisfies StartRedisContainerOptions)

/**
 * Starts a server in a container, through testcontainers.
 *
 * testcontainers first starts a container of its own, Ryuk, that removes what a killed process leaves
 * behind. Where that image cannot be pulled (no registry within reach), every start fails at once with
 * HTTP 500: set `TESTCONTAINERS_RYUK_DISABLED=true` in the environment there, and know that a process
 * killed by SIGKILL then leaves its containers.
 */
export async function startRedisContainer(
  options: StartRedisContainerOptions = {},
): Promise<RedisContainer> {
  const { image, product, args } = { ...DEFAULTS, ...options }
  const password = randomBytes(16).toString('hex')
  const container = await startContainer(image, [
    `${product}-server`,
    ...['--requirepass', password],
    // Protected mode refuses the published port's traffic; official images patch it off, others do not.
    ...['--protected-mode', 'no'],
    ...['--save', '', '--appendonly', 'no'],
    ...args,
  ])
  const host = container.getHost()
  const port = container.getMappedPort(SERVER_PORT)
  return {
    url: `redis://:${password}@${host}:${port}`,
    host,
    port,
    password,
    image,
    id: container.getId(),
    [Symbol.asyncDispose]: async () => {
      await container.stop()
    },
  }
}

async function startContainer(
  image: string,
  command: readonly string[],
): Promise<StartedTestContainer> {
  // Loaded here, because it takes longer than starting ten servers and most runs need no container.
  const { GenericContainer, Wait } = await import('testcontainers')
  try {
    return await new GenericContainer(image)
      .withCommand([...command])
      .withExposedPorts(SERVER_PORT)
      // The default wait runs a shell in the image, which slim images do not have.
      .withWaitStrategy(Wait.forLogMessage(/Ready to accept connections/))
      .start()
  } catch (error) {
    const told = error instanceof Error ? error.message : String(error)
    const hint = 'where no registry is within reach, set TESTCONTAINERS_RYUK_DISABLED=true'
    throw new Error(`no container of ${image} could be started (${hint}): ${told}`, {
      cause: error,
    })
  }
}
