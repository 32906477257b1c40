// Standard output belongs to the command that was asked for, so the tooling speaks on standard error.

/** Something the user has to put right; shown as one sentence, without a stack. */
export class Refusal extends Error {}

/** @param {string} sentence */
export function say(sentence) {
  console.error(`millrace: ${sentence}`)
}

/**
 * Says a sentence now and, while the work goes on, that it still does.
 *
 * @template T
 * @param {string} sentence
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function saying(sentence, work) {
  const startedMs = Date.now()
  const seconds = () => Math.round((Date.now() - startedMs) / 1000)
  say(sentence)
  const timer = setInterval(() => say(`still at it after ${seconds()} s.`), 10_000)
  try {
    return await work()
  } finally {
    clearInterval(timer)
  }
}
