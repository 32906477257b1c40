import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  parseReportCommand,
  type ReportCommand,
  reportUsage,
  ReportUsageError,
} from './command-line.ts'
import { outputs, reportPages, RESULTS, root } from './outputs.ts'
import { readResults } from './results.ts'
import { runBenchmarks } from './run-benchmarks.ts'
import { subjects } from './subjects.ts'

process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  try {
    const command = parseReportCommand(
      args,
      subjects.map(({ name }) => name),
    )
    if (command === 'help') {
      console.log(reportUsage)
      return 0
    }
    return await report(command)
  } catch (error) {
    if (!(error instanceof ReportUsageError)) throw error
    console.error(`${error.message}\n\n${reportUsage}`)
    return 2
  }
}

async function report({ run, quick, results, out }: ReportCommand): Promise<number> {
  const directory = results ?? join(root, RESULTS)
  const { failed, unfinished } = await runBenchmarks({ names: run, quick, directory })
  const found = await readResults(directory)
  if (out === undefined) {
    for (const [path, text] of outputs(found)) await write(path, join(root, path), text)
  } else {
    const { markdown, html } = reportPages(found)
    await mkdir(out, { recursive: true })
    await write('benchmarks.md', join(out, 'benchmarks.md'), markdown)
    await write('benchmarks.html', join(out, 'benchmarks.html'), html)
  }
  if (failed.length > 0) console.error(`criteria failed in ${failed.join(', ')}`)
  if (unfinished.length > 0) console.error(`no result from ${unfinished.join(', ')}`)
  return failed.length + unfinished.length > 0 ? 1 : 0
}

/** Pages that stay as they are keep their time, and are not told of. */
async function write(name: string, path: string, text: string): Promise<void> {
  const before = await readFile(path, 'utf8').catch(() => undefined)
  if (before === text) return
  await writeFile(path, text)
  console.log(`wrote ${name}`)
}
