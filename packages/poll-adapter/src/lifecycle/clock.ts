/** Time as the poll adapter sees it; tests put their own in. */
export interface Clock {
  /** Milliseconds since 1970 by this machine, for what is compared with times that others gave. */
  wallMs(): number
  /** Milliseconds that never go backwards; the only clock that waits and deadlines look at. */
  monotonicMs(): number
  /** Calls back once after so many milliseconds; the answer cancels it. */
  after(ms: number, callback: () => void): () => void
}

export const systemClock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(ms, callback) {
    const timer = setTimeout(callback, ms)
    return () => {
      clearTimeout(timer)
    }
  },
}
