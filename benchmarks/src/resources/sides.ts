import { join } from 'node:path'
import { startRedis } from '@millrace/testkit'
import type { CompileCache } from '../harness/compile-cache.ts'
import { type ProgramProcess, startProgram } from '../harness/program-process.ts'
import { temporaryFolder } from '../harness/temporary-folder.ts'
import type { FollowersProgram, PollApiProgram, RatedPublisherProgram } from './program.ts'

/** `publishing` has no followers: what publishing itself costs the server. */
export type SideName = 'millrace' | 'poll_http' | 'poll_redis' | 'publishing'

export interface Side {
  readonly name: SideName
  readonly followers: readonly ProgramProcess<FollowersProgram>[]
  readonly publisher: ProgramProcess<RatedPublisherProgram>
  /** All processes that this side needs besides whoever publishes. */
  readonly pids: readonly number[]
  /** Of them, the API with its database, or Redis. */
  readonly serverPids: readonly number[]
}

export interface SideTask {
  readonly name: SideName
  readonly processes: number
  readonly followersPerProcess: number
  readonly compileCache: CompileCache
  /** The URL of the database behind the poll API, where that is not a file of SQLite. */
  readonly postgres: string | undefined
  /** More arguments for Node, for all processes of the side alike. */
  readonly nodeArgs?: readonly string[]
}

const programs: Readonly<Record<SideName, { readonly followers?: URL; readonly publisher: URL }>> =
  {
    millrace: {
      followers: new URL('../millrace/follow-many.ts', import.meta.url),
      publisher: new URL('../millrace/publish-rated.ts', import.meta.url),
    },
    poll_http: {
      followers: new URL('../pollers/poll-http.ts', import.meta.url),
      publisher: new URL('../pollers/write-rows.ts', import.meta.url),
    },
    poll_redis: {
      followers: new URL('../pollers/poll-redis.ts', import.meta.url),
      publisher: new URL('../millrace/publish-rated.ts', import.meta.url),
    },
    publishing: { publisher: new URL('../millrace/publish-rated.ts', import.meta.url) },
  }
/** More at a time would keep each other from answering within the time limits of a connection. */
const MOST_STARTING = 12
const apiFile = new URL('../pollers/poll-api.ts', import.meta.url)

/** Starts everything of a side; it ends with `owner`. */
export async function openSide(task: SideTask, owner: AsyncDisposableStack): Promise<Side> {
  const { name, processes, followersPerProcess, compileCache, nodeArgs = [] } = task
  const files = programs[name]
  const folder = owner.use(await temporaryFolder('resources'))
  const database = task.postgres ?? join(folder.path, 'events.db')
  const start = <Program extends FollowersProgram | PollApiProgram | RatedPublisherProgram>(
    file: URL,
  ): ProgramProcess<Program> =>
    owner.use(startProgram<Program>(file, { compileCache: compileCache.directory, nodeArgs }))

  let url = ''
  let apiPort = 0
  let serverPids: readonly number[]
  if (name === 'poll_http') {
    await compileCache.warm(apiFile)
    const api = start<PollApiProgram>(apiFile)
    const { port, databasePids } = await api.ask('open', { database })
    apiPort = port
    serverPids = [api.pid, ...databasePids]
  } else {
    const redis = owner.use(await startRedis())
    url = redis.url
    serverPids = [redis.pid]
  }
  const place = { url, prefix: 'bench:' }
  const publisher = start<RatedPublisherProgram>(files.publisher)
  await publisher.ask('open', { place, database })
  const followers: ProgramProcess<FollowersProgram>[] = []
  const { followers: file } = files
  if (file !== undefined) {
    await compileCache.warm(file)
    while (followers.length < processes) {
      const lot = Array.from(
        { length: Math.min(MOST_STARTING, processes - followers.length) },
        () => start<FollowersProgram>(file),
      )
      followers.push(...lot)
      await Promise.all(
        lot.map((one) => one.ask('open', { followers: followersPerProcess, place, apiPort })),
      )
    }
  }
  const pids = [...serverPids, ...followers.map(({ pid }) => pid)]
  return { name, followers, publisher, pids, serverPids }
}
