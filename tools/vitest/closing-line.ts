import type { Reporter, TestCase, TestModule } from 'vitest/node'

/**
 * Ends a run with `N passed, N failed` alone on a line, for whoever reads the log of a run by
 * machine. What failed outside a test (a file that could not be loaded, an error that nobody
 * caught) counts as failed too; skipped tests are in vitest's own summary.
 *
 * Above it stands which tests passed only after they had failed, where the run repeats what fails: such a
 * test lands the change, but it is a finding, and must not get lost among those that passed.
 */
export class ClosingLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    let passed = 0
    let failed = unhandledErrors.length
    const shaky: string[] = []
    for (const module of modules) {
      for (const test of module.children.allTests()) {
        const { state } = test.result()
        if (state === 'passed') passed += 1
        if (state === 'failed') failed += 1
        const { flaky = false, retryCount = 0 } = test.diagnostic() ?? {}
        if (state === 'passed' && flaky) {
          const attempt = retryCount === 1 ? 'second attempt' : `attempt ${retryCount + 1}`
          const where = `${module.project.name}/${module.relativeModuleId}`
          shaky.push(`passed at the ${attempt}: ${where}: ${test.fullName}${causeOf(test)}`)
        }
      }
      failed += module.errors().length
      for (const suite of module.children.allSuites()) failed += suite.errors().length
    }
    const lines = [...shaky, `${passed} passed, ${failed} failed`]
    // After the other reporters' summaries, which are printed in the same turn.
    setImmediate(() => console.log(`\n${lines.join('\n')}`))
  }
}

/** The first line of what went wrong at first, so that the log of a run on another machine is of use. */
function causeOf(test: TestCase): string {
  const { errors } = test.result()
  const message = errors?.[0]?.message.split('\n', 1)[0]
  return message === undefined ? '' : ` (${message})`
}
