import type { Reporter, TestModule } from 'vitest/node'

/**
 * Ends a run with `N passed, N failed` alone on a line, for whoever reads the log of a run by
 * machine. What failed outside a test (a file that could not be loaded, an error that nobody
 * caught) counts as failed too; skipped tests are in vitest's own summary.
 */
export class ClosingLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    let passed = 0
    let failed = unhandledErrors.length
    for (const module of modules) {
      for (const test of module.children.allTests()) {
        const { state } = test.result()
        if (state === 'passed') passed += 1
        if (state === 'failed') failed += 1
      }
      failed += module.errors().length
      for (const suite of module.children.allSuites()) failed += suite.errors().length
    }
    // After the other reporters' summaries, which are printed in the same turn.
    setImmediate(() => console.log(`\n${passed} passed, ${failed} failed`))
  }
}
