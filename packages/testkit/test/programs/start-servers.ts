/** Starts servers, tells where they are, and waits to be killed. */
import { provideRedis, startRedis } from '../../src/index.ts'

const servers = [await startRedis(), await startRedis({ persistence: true })]
const provided = await provideRedis()
console.log(
  JSON.stringify({
    pids: [...servers.map((server) => server.pid), provided.pid],
    dirs: servers.map((server) => server.dir),
  }),
)
