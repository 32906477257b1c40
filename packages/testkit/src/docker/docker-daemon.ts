import { request } from 'node:http'
import { homedir } from 'node:os'
import { join } from 'node:path'

/** Where {@link dockerAnswers} looks for a daemon. */
export interface DockerAnswersOptions {
  /** An address as in DOCKER_HOST (`unix:///run/docker.sock`, `tcp://127.0.0.1:2375`); without it the usual sockets. */
  readonly host?: string | undefined
}

const ANSWER_WITHIN_MS = 250

/** Tells within 300 ms whether a Docker daemon answers. Never throws: anything but an answer is a no. */
export async function dockerAnswers(options: DockerAnswersOptions = {}): Promise<boolean> {
  const targets =
    options.host === undefined
      ? usualSockets().map((socketPath) => ({ socketPath }))
      : [target(options.host)]
  const answers = await Promise.all(targets.map(ping))
  return answers.includes(true)
}

type Target = { readonly socketPath: string } | { readonly host: string; readonly port: string }

function usualSockets(): readonly string[] {
  const user = process.getuid?.()
  return [
    '/var/run/docker.sock',
    join(homedir(), '.docker', 'run', 'docker.sock'),
    ...(user === undefined ? [] : [`/run/user/${user}/docker.sock`]),
  ]
}

function target(host: string): Target | undefined {
  const url = URL.parse(host)
  if (url?.protocol === 'unix:') return { socketPath: url.pathname }
  return url?.hostname ? { host: url.hostname, port: url.port || '2375' } : undefined
}

function ping(to: Target | undefined): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  if (!to) return Promise.resolve(false)
  const call = request(
    { ...to, path: '/_ping', signal: AbortSignal.timeout(ANSWER_WITHIN_MS) },
    (response) => {
      response.resume()
      resolve(response.statusCode === 200)
    },
  )
  call.on('error', () => resolve(false))
  call.end()
  return promise
}
