import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expectNoLeaks, startRedis } from '@millrace/testkit'
import { describe, expect, it } from 'vitest'

const program = new URL('../../src/fleet/main.ts', import.meta.url).pathname

/** Runs it from its sources; answers what it printed, at once and up to its end. */
function run(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): {
  readonly child: ReturnType<typeof spawn>
  readonly first: Promise<string>
  readonly end: Promise<unknown[]>
} {
  const child = spawn(process.execPath, ['--conditions=millrace-source', program, ...args], {
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const end = once(child, 'exit')
  const { promise: first, resolve } = Promise.withResolvers<string>()
  for (const stream of [child.stdout, child.stderr]) {
    stream.once('data', (chunk: Buffer) => {
      resolve(chunk.toString())
    })
  }
  return { child, first, end }
}

describe('The program millrace-metrics', () => {
  it('serves the metrics of the Redis that it is told of, until it is told to end', async () => {
    await using redis = await startRedis()
    await redis.client().xadd('mr:{a}a', '*', 'data', '1')
    const { child, first, end } = run(['--redis', redis.url, '--port', '0', '--include', 'mr:*'])
    const said = await first
    const url = /http:\S+/.exec(said)?.[0]
    expect(url, said).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/metrics$/)
    const text = await (await fetch(String(url))).text()
    expect(text).toContain('millrace_stream_info{db="db0",stream="mr:{a}a",name="a"} 1\n')
    child.kill('SIGTERM')
    expect(await end).toEqual([0, null])
    await expectNoLeaks(redis)
  })

  it('takes the URL from REDIS_URL, which the list of processes does not show', async () => {
    await using redis = await startRedis()
    const { child, first, end } = run(['--port', '0'], { REDIS_URL: redis.url })
    const url = /http:\S+/.exec(await first)?.[0]
    expect((await fetch(String(url).replace('/metrics', '/readyz'))).status).toBe(200)
    child.kill('SIGINT')
    expect(await end).toEqual([0, null])
  })

  it('says what is wrong with its arguments', async () => {
    const { first, end } = run(['--redis', 'nonsense'])
    expect(await first).toMatch(/redis must be a URL/)
    expect(await end).toEqual([1, null])
    const help = run(['--help'])
    expect(await help.first).toContain('--max-streams')
    expect(await help.end).toEqual([0, null])
  })
})
