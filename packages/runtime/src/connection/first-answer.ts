import type { Clock } from '../lifecycle/clock.ts'

/**
 * Asks the candidates in turn until one answers. Whoever fails hands over at once; whoever is silent
 * for `patienceMs` is still listened to, but the next one is asked beside it.
 * @throws AggregateError with every problem, when nobody has answered
 */
export function firstAnswer<Candidate, Answer>(
  clock: Clock,
  candidates: readonly Candidate[],
  ask: (candidate: Candidate) => Promise<Answer>,
  patienceMs: number,
): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>()
  const problems: unknown[] = []
  let next = 0
  let answered = false
  const askNext = (): void => {
    const candidate = candidates[next]
    if (candidate === undefined || answered) return
    next++
    let over = false
    const goOn = (): void => {
      if (over) return
      over = true
      cancel()
      askNext()
    }
    const cancel = clock.after(patienceMs, goOn)
    ask(candidate).then(
      (answer) => {
        answered = true
        over = true
        cancel()
        resolve(answer)
      },
      (problem: unknown) => {
        problems.push(problem)
        if (problems.length === candidates.length) reject(new AggregateError(problems))
        goOn()
      },
    )
  }
  if (candidates.length === 0) reject(new AggregateError(problems))
  askNext()
  return promise
}
