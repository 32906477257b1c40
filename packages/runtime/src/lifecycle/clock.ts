/** Time as the runtime sees it; tests put their own in. */
export interface Clock {
  /** Milliseconds that never go backwards; the only clock that leases and deadlines look at. */
  monotonicMs(): number
  /** Calls back once after so many milliseconds; the answer cancels it. */
  after(ms: number, callback: () => void): () => void
}

export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  after(ms, callback) {
    const timer = setTimeout(callback, ms)
    return () => {
      clearTimeout(timer)
    }
  },
}
