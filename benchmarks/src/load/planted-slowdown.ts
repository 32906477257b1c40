/** So many calls pass between two looks at the clock. */
const CALLS = 500

/**
 * For the proof that a regression is noticed: with MILLRACE_PLANTED_SLOWDOWN=0.3 in the environment,
 * whoever calls this once per event uses 30 % more CPU time than it would; else it does nothing. It is
 * called by the programs of the product only, never by the floors.
 */
export function plantSlowdown(): () => void {
  if (!isSlowdownPlanted()) return () => undefined
  const share = plantedShare()
  let calls = 0
  let lastUs = usedUs()
  return () => {
    calls += 1
    if (calls % CALLS !== 0) return
    const nowUs = usedUs()
    const untilUs = nowUs + (nowUs - lastUs) * share
    while (usedUs() < untilUs);
    lastUs = usedUs()
  }
}

export function isSlowdownPlanted(): boolean {
  return plantedShare() > 0
}

function plantedShare(): number {
  return Number(process.env['MILLRACE_PLANTED_SLOWDOWN'] ?? 0)
}

function usedUs(): number {
  const { user, system } = process.cpuUsage()
  return user + system
}
