import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, mkdtemp, open, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { describeEnvironment } from '../harness/environment.ts'
import { startProgram } from '../harness/program-process.ts'
import { describe, type Report } from '../harness/report.ts'
import { Workbench } from '../harness/workbench.ts'
import { Interrupted, listenForSignals } from '../interruption.ts'
import { findK6 } from './find-k6.ts'
import type { ServingProgram } from './program.ts'

// `npm run bench:k6 [-- --json <file>] [--quick] [--if-there]`: starts the server of the benchmark and
// runs k6 against it. The claims and thresholds stand in `benchmarks/k6/polls.ts`.

const script = fileURLToPath(new URL('../../k6/polls.ts', import.meta.url))

const fullRun = {
  perSecond: 10,
  seconds: 30,
  consumers: 120,
  waitS: 3,
  oldEveryS: 1,
  latencyP99Ms: 500,
  publishP99Ms: 200,
  handledShare: 0.99,
}
const quickRun: typeof fullRun = {
  ...fullRun,
  perSecond: 5,
  seconds: 6,
  latencyP99Ms: 10_000,
  publishP99Ms: 10_000,
  handledShare: 0.5,
}

const exitCode = await main()
if (exitCode === 130) process.exit(exitCode)
process.exitCode = exitCode

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      json: { type: 'string' },
      quick: { type: 'boolean', default: false },
      'if-there': { type: 'boolean', default: false },
    },
  })
  const k6 = await findK6()
  if (k6 === undefined) {
    console.error('k6 is neither on PATH nor in .cache/k6: NOT RUN')
    return values['if-there'] ? 0 : 1
  }
  if (values.json !== undefined) await (await open(values.json, 'a')).close()
  console.error(k6.version)
  try {
    return await runK6(k6, values.quick, values.json)
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error
    console.error('interrupted')
    return 130
  }
}

async function runK6(
  k6: { readonly command: string; readonly version: string },
  quick: boolean,
  jsonPath: string | undefined,
): Promise<number> {
  using interruption = listenForSignals()
  const tell = (line: string): void => console.error(line)
  const wanted = {
    quick,
    minutes: undefined,
    policies: [],
    fullGrid: false,
    writeUsual: false,
    postgres: undefined,
    tell,
  }
  await using bench = await Workbench.open(wanted)
  await using stack = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'millrace-k6-'))
  stack.defer(() => rm(folder, { recursive: true, force: true, maxRetries: 3 }))
  const server = stack.use(startProgram<ServingProgram>(new URL('server.ts', import.meta.url)))
  const place = await bench.emptyPlace()
  const { url } = await server.ask('listen', { place, database: join(folder, 'events.db') })
  const scale = quick ? quickRun : fullRun
  const reportPath = join(folder, 'report.json')
  const environment = { ...describeEnvironment(bench.serverVersion), k6: k6.version }
  const settings = { url, isQuick: quick, ...scale, reportPath, environment }
  tell(
    `about ${scale.seconds + 15} s: ${scale.perSecond} events/s, ${scale.consumers} long-pollers`,
  )
  const args = ['run', '--no-usage-report', '--quiet', '--log-output=stderr']
  const child = spawn(
    k6.command,
    [...args, '--env', `SETTINGS=${JSON.stringify(settings)}`, script],
    { stdio: ['ignore', 2, 2] },
  )
  stack.defer(() => void child.kill('SIGKILL'))
  const [code] = (await Promise.race([once(child, 'exit'), interruption.asked])) as [number | null]
  const report = JSON.parse(await readFile(reportPath, 'utf8')) as Report
  if (jsonPath !== undefined) await copyFile(reportPath, jsonPath)
  console.log(describe(report))
  const passed = report.criteria.length > 0 && report.criteria.every(({ pass }) => pass)
  if (code !== 0) console.error(`k6 ended with exit code ${String(code)}`)
  return code === 0 && passed ? 0 : 1
}
