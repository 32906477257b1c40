import type { Health, Millrace } from '@millrace/runtime'
import type { Report } from '../cast/messages.ts'

const LOOK_EVERY_MS = 100

/** Tells at first, and whenever it has changed, how the process is: what its probes would be answered. */
export function watchHealth(millrace: Millrace, tell: (report: Report) => void): Disposable {
  let told: Health | undefined
  const look = (): void => {
    const health = millrace.health()
    if (told?.ready === health.ready && told.live === health.live) return
    told = health
    const { ready, live, problems } = health
    tell({ is: 'health', ready, live, problems })
  }
  const timer = setInterval(look, LOOK_EVERY_MS)
  look()
  return {
    [Symbol.dispose]: () => {
      clearInterval(timer)
    },
  }
}
