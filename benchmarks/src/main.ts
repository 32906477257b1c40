import { open, writeFile } from 'node:fs/promises'
import { benchmarks } from './benchmarks.ts'
import { type Command, parseCommandLine, usage, UsageError } from './command-line.ts'
import { describeEnvironment } from './harness/environment.ts'
import { describe, type Report } from './harness/report.ts'
import { resultText } from './harness/result-file.ts'
import { type Benchmark, Workbench } from './harness/workbench.ts'
import { Interrupted, listenForSignals } from './interruption.ts'

/** As shells have it for SIGINT. */
const INTERRUPTED = 130

const exitCode = await main(process.argv.slice(2))
// An interrupted benchmark has things under way that nobody waits for.
if (exitCode === INTERRUPTED) process.exit(exitCode)
process.exitCode = exitCode

async function main(args: readonly string[]): Promise<number> {
  try {
    const command = parseCommandLine(
      args,
      benchmarks.map(({ name }) => name),
    )
    if (command.is === 'help') {
      console.log(usage(benchmarks))
      return 0
    }
    return await runBenchmark(command)
  } catch (error) {
    if (error instanceof Interrupted) {
      console.error('interrupted')
      return INTERRUPTED
    }
    if (!(error instanceof UsageError)) throw error
    console.error(`${error.message}\n\n${usage(benchmarks)}`)
    return 2
  }
}

async function runBenchmark(command: Extract<Command, { is: 'run' }>): Promise<number> {
  const { quick, jsonPath, minutes, policies, fullGrid, writeUsual, postgres } = command
  const benchmark = benchmarks.find(({ name }) => name === command.benchmark)
  if (benchmark === undefined) throw new UsageError(`${command.benchmark} is not a benchmark`)
  checkTaken(benchmark, command)
  // A place that cannot be written to is better known before the minutes of measuring.
  if (jsonPath !== undefined) await (await open(jsonPath, 'a')).close()
  const tell = (line: string): void => console.error(line)
  using interruption = listenForSignals()
  await using bench = await Workbench.open({
    quick,
    minutes,
    policies,
    fullGrid,
    writeUsual,
    postgres,
    tell,
  })
  const environment = describeEnvironment(bench.serverVersion)
  const findings = await Promise.race([benchmark.run(bench), interruption.asked])
  const report: Report = { benchmark: benchmark.name, ...findings, environment }
  if (jsonPath !== undefined) await writeFile(jsonPath, resultText(report))
  console.log(describe(report))
  return report.criteria.every(({ pass }) => pass) ? 0 : 1
}

/** @throws UsageError for options that the benchmark would not look at */
function checkTaken(
  { name, takes }: Benchmark,
  { minutes, policies, fullGrid, writeUsual, postgres }: Extract<Command, { is: 'run' }>,
): void {
  const refused = [
    ...(minutes !== undefined && takes?.minutes === undefined ? ['--minutes'] : []),
    ...(policies.length > 0 && takes?.policies === undefined ? ['--policy'] : []),
    ...(fullGrid && takes?.fullGrid === undefined ? ['--full-grid'] : []),
    ...(writeUsual && takes?.writeUsual === undefined ? ['--write-usual'] : []),
    ...(postgres !== undefined && takes?.postgres === undefined ? ['--postgres'] : []),
  ]
  if (refused.length > 0) throw new UsageError(`${name} does not take ${refused.join(', ')}`)
  const unknown = policies.find((policy) => takes?.policies?.includes(policy) === false)
  if (unknown !== undefined)
    throw new UsageError(`${unknown} is not a policy; there are ${takes?.policies?.join(', ')}`)
}
