import { performance } from 'node:perf_hooks'
import { remainingMs, type Step } from './plan.ts'
import { type Figures, Samples } from './samples.ts'

/** Runs the steps one after the other, telling how far it is. */
export async function carryOut(
  steps: readonly Step[],
  tell: (line: string) => void,
): Promise<Samples> {
  const samples = new Samples()
  const startMs = performance.now()
  for (const [done, { round, variant }] of steps.entries()) {
    const leftMs = remainingMs(steps, done, performance.now() - startMs)
    tell(`${done + 1}/${steps.length} round ${round}, ${variant.name} (${duration(leftMs)} left)`)
    const figures = await variant.run()
    samples.add({ round, variant: variant.name, figures })
    tell(`    ${short(figures)}`)
  }
  return samples
}

function duration(ms: number): string {
  const seconds = Math.max(1, Math.round(ms / 1_000))
  return seconds < 100 ? `about ${seconds} s` : `about ${Math.round(seconds / 60)} min`
}

function short(figures: Figures): string {
  return Object.entries(figures)
    .map(([name, value]) => `${name} ${Number(value.toPrecision(4))}`)
    .join(', ')
}
