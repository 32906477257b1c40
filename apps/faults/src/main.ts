import { randomInt } from 'node:crypto'
import { closeSync, openSync, writeFileSync } from 'node:fs'
import { catalogue } from './faults/catalogue.ts'
import { helpText, type Options, OptionsError, readOptions } from './options.ts'
import { runSuite } from './run/suite.ts'
import { createScreen } from './screen/screen.ts'
import { summaryOf } from './screen/lines.ts'

const LARGEST_SEED = 4_294_967_295
/** One Ctrl-C may arrive more than once, from the terminal and from whoever started this process. */
const SAME_SIGNAL_MS = 300

process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  let options: Options
  try {
    options = readOptions(args, randomInt(LARGEST_SEED))
    if (options.what === 'run' && options.jsonPath !== undefined) assertWritable(options.jsonPath)
  } catch (error) {
    if (!(error instanceof OptionsError)) throw error
    process.stderr.write(`${error.message}\nnpm run faults -- --help shows all options.\n`)
    return 2
  }
  switch (options.what) {
    case 'help':
      process.stdout.write(helpText)
      return 0
    case 'list':
      process.stdout.write(listText())
      return 0
    case 'run':
      return run(options)
    default:
      return options.what satisfies never
  }
}

function listText(): string {
  const lines = catalogue.map(
    ({ name, about, short }) => `${short === true ? '*' : ' '} ${name.padEnd(30)} ${about}`,
  )
  return `${lines.join('\n')}\n* belongs to the short selection\n`
}

async function run(options: Options): Promise<number> {
  const screen = createScreen(process.stdout)
  const interruption = listenForSignals()
  try {
    const report = await runSuite(options, screen, interruption.signal)
    screen.say(summaryOf(report))
    if (options.jsonPath !== undefined) {
      writeFileSync(options.jsonPath, `${JSON.stringify(report, null, 2)}\n`)
      screen.say(`The results are in ${options.jsonPath}.`)
    }
    return report.ok ? 0 : 1
  } catch (error) {
    if (interruption.signal.aborted) {
      screen.say('interrupted')
      return 130
    }
    process.stderr.write(
      `${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
    )
    return 1
  } finally {
    interruption.stopListening()
  }
}

interface Interruption {
  readonly signal: AbortSignal
  stopListening(): void
}

/** The first signal ends the run after clearing up, a second one at once. */
function listenForSignals(): Interruption {
  const interrupted = new AbortController()
  let firstAtMs: number | undefined
  const onSignal = (): void => {
    if (firstAtMs === undefined) {
      firstAtMs = performance.now()
      interrupted.abort()
    } else if (performance.now() - firstAtMs >= SAME_SIGNAL_MS) process.exit(130)
  }
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal).on('SIGHUP', onSignal)
  return {
    signal: interrupted.signal,
    stopListening: () => {
      process.off('SIGINT', onSignal).off('SIGTERM', onSignal).off('SIGHUP', onSignal)
    },
  }
}

/** Finds out now, and not after the run, whether the file can be written. It also empties it. */
function assertWritable(path: string): void {
  try {
    closeSync(openSync(path, 'w'))
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new OptionsError([`--json: the file cannot be written (${reason})`])
  }
}
