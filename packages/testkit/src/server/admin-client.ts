import { Redis } from 'ioredis'

/** The name that the testkit's own connections carry in CLIENT LIST. */
export const ADMIN_CONNECTION_NAME = 'testkit-admin'

/** The one admin connection to a server, made on first use. */
export interface AdminClients {
  client(): Redis
  close(): void
}

/** Where an admin connection goes. */
export interface Address {
  readonly host: string
  readonly port: number
}

/** A connection for commands of the test itself. It opens at the first command and comes back by itself. */
function adminClient(address: Address): Redis {
  const redis = new Redis({
    ...address,
    connectionName: ADMIN_CONNECTION_NAME,
    lazyConnect: true,
    // Servers under test go away and come back within milliseconds; look again at that pace.
    retryStrategy: () => 20,
    maxRetriesPerRequest: 500,
    // A command that was under way when its server was killed fails: sent again it might count twice.
    autoResendUnfulfilledCommands: false,
  })
  // Every command reports its own failure; without a listener a lost connection is printed as well.
  redis.on('error', () => {})
  return redis
}

/** Keeps one admin connection and hands it out again and again. */
export function adminClients(address: Address): AdminClients {
  let client: Redis | undefined
  return {
    client: () => (client ??= adminClient(address)),
    close: () => {
      client?.disconnect()
      client = undefined
    },
  }
}
