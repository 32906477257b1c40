import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { waitFor } from '@millrace/testkit'

export interface PrometheusOptions {
  /** `host:port` of what is scraped, by the name of the job. */
  readonly targets: Readonly<Record<string, string>>
  /** The text of a file of rules. */
  readonly rules: string
}

/** One series that a query answers. */
interface Series {
  readonly metric: Readonly<Record<string, string>>
  readonly value: number
}

interface QueryAnswer {
  readonly result: readonly { metric: Record<string, string>; value: [number, string] }[]
}

interface AlertsAnswer {
  readonly alerts: readonly { state: string; labels: Record<string, string> }[]
}

/** A real Prometheus that scrapes and evaluates once a second. */
export interface PrometheusServer extends AsyncDisposable {
  readonly url: string
  query(expression: string): Promise<readonly Series[]>
  /** The names of the alerts that fire, each once. */
  firing(): Promise<ReadonlySet<string>>
}

export async function startPrometheus(options: PrometheusOptions): Promise<PrometheusServer> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-prometheus-'))
  await writeFile(join(folder, 'rules.yaml'), options.rules)
  await writeFile(join(folder, 'prometheus.yaml'), configOf(options.targets))
  const url = `http://127.0.0.1:${await freePort()}`
  const child = spawn(
    'prometheus',
    [
      `--config.file=${join(folder, 'prometheus.yaml')}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      `--web.listen-address=${url.slice('http://'.length)}`,
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  )
  let log = ''
  child.stderr.on('data', (chunk: Buffer) => (log = (log + chunk.toString()).slice(-4_000)))
  const exited = once(child, 'exit')
  const server: PrometheusServer = {
    url,
    async query(expression) {
      const data = await ask(`${url}/api/v1/query?query=${encodeURIComponent(expression)}`)
      return (data as QueryAnswer).result.map(({ metric, value }) => ({
        metric,
        value: Number(value[1]),
      }))
    },
    async firing() {
      const data = await ask(`${url}/api/v1/alerts`)
      return new Set(
        (data as AlertsAnswer).alerts.flatMap(({ state, labels }) =>
          state === 'firing' ? [labels['alertname'] ?? ''] : [],
        ),
      )
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await exited
      await rm(folder, { recursive: true, force: true })
    },
  }
  try {
    await waitFor(async () => (await fetch(`${url}/-/ready`)).ok, {
      describe: 'Prometheus to be ready',
    })
  } catch (error) {
    await server[Symbol.asyncDispose]()
    throw new Error(`Prometheus did not start:\n${log}`, { cause: error })
  }
  return server
}

function configOf(targets: Readonly<Record<string, string>>): string {
  return JSON.stringify({
    global: { scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' },
    rule_files: ['rules.yaml'],
    scrape_configs: Object.entries(targets).map(([job, target]) => ({
      job_name: job,
      static_configs: [{ targets: [target] }],
    })),
  })
}

async function ask(url: string): Promise<unknown> {
  const response = await fetch(url)
  const answer = (await response.json()) as { readonly data: unknown; readonly error?: string }
  if (!response.ok) throw new Error(`${url}: ${answer.error}`)
  return answer.data
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (typeof address === 'object' && address !== null) return address.port
  throw new Error('no free port')
}
