import { execFileSync } from 'node:child_process'
import { arch, cpus, loadavg, platform, totalmem } from 'node:os'

/** Where and when a run took place. */
export interface Environment {
  readonly machine: string
  readonly cpus: number
  readonly memoryGiB: number
  /** The one-minute load average before the run: far above 0, other work shared the machine. */
  readonly loadBefore: number
  readonly node: string
  readonly redis: string
  readonly commit: string
  readonly date: string
}

export function describeEnvironment(serverVersion: string): Environment {
  const processors = cpus()
  return {
    machine: `${processors[0]?.model.trim() ?? 'unknown processor'}, ${platform()} ${arch()}`,
    cpus: processors.length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    loadBefore: Number((loadavg()[0] ?? 0).toFixed(2)),
    node: process.version,
    redis: serverVersion,
    commit: commit(),
    date: new Date().toISOString(),
  }
}

/** Whatever a result depends on. */
const measuredPaths = [
  ':/',
  ':(top,exclude)benchmarks/results',
  ':(top,exclude,glob)**/*.md',
  ':(top,exclude,glob)**/*.html',
]

function commit(): string {
  const git = (...args: string[]): string =>
    execFileSync('git', args, { cwd: import.meta.dirname, stdio: ['ignore', 'pipe', 'ignore'] })
      .toString()
      .trim()
  try {
    // Results and the pages made of them change while the benchmarks are run one after the other.
    const changed = git('status', '--porcelain', '--untracked-files=no', '--', ...measuredPaths)
    return `${git('rev-parse', 'HEAD')}${changed === '' ? '' : ' with changes'}`
  } catch {
    return 'unknown: not a git checkout'
  }
}
