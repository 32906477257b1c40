import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type RequestListener } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { dockerAnswers } from '../../src/index.ts'

let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-docker-'))
})

afterEach(async () => {
  await rm(folder, { recursive: true })
})

/** Listens where a daemon would, and says what came of the question. */
async function whenDaemon(answers: RequestListener): Promise<boolean> {
  const path = join(folder, 'docker.sock')
  const daemon = createServer(answers)
  const { promise, resolve } = Promise.withResolvers<void>()
  daemon.listen(path, resolve)
  await promise
  try {
    return await dockerAnswers({ host: `unix://${path}` })
  } finally {
    daemon.close()
    daemon.closeAllConnections()
  }
}

test('a daemon that answers its ping answers', async () => {
  const asked: string[] = []
  const answered = await whenDaemon((request, response) => {
    asked.push(request.url ?? '')
    response.end('OK')
  })
  expect(answered).toBe(true)
  expect(asked).toEqual(['/_ping'])
})

test('a daemon that refuses or stays silent does not answer', async () => {
  expect(await whenDaemon((_request, response) => response.writeHead(500).end())).toBe(false)
  expect(await whenDaemon(() => {})).toBe(false)
})

test('where nothing listens nobody answers', async () => {
  expect(await dockerAnswers({ host: `unix://${join(folder, 'nothing.sock')}` })).toBe(false)
  expect(await dockerAnswers({ host: 'tcp://127.0.0.1:1' })).toBe(false)
  expect(await dockerAnswers({ host: 'no address' })).toBe(false)
})
