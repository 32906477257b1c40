import type { PathName } from './generation.ts'

type FigureName = 'clientCpuUs' | 'perSecond' | 'redisCpuUs'

/** A ratio to a floor that is watched. */
export interface Watched {
  readonly id: string
  readonly path: PathName
  readonly floor: PathName
  readonly figure: FigureName
}

/** How far a watched ratio may go. */
export interface Gate extends Watched {
  readonly direction: 'at least' | 'at most'
  readonly limit: number
  /** For runs so short that compiling is part of what is measured. */
  readonly quick: number
}

const suffixes: Readonly<Record<FigureName, string>> = {
  clientCpuUs: 'client_cpu_vs_floor',
  redisCpuUs: 'redis_cpu_vs_floor',
  perSecond: 'rate_vs_floor',
}

/**
 * By which factor a ratio may become worse. The client's CPU decides: half of the 30 % that have to be noticed,
 * and several times what runs on quiet and on busy machines differ by. How much Redis does for each read
 * depends on how much has come together by then, and the rate on who else wants the processors; their gates
 * find what is broken.
 */
const slack: Readonly<Record<FigureName, number>> = {
  clientCpuUs: 1.15,
  redisCpuUs: 1.5,
  perSecond: 2.5,
}
const QUICK_SLACK = 5

export const watched: readonly Watched[] = (['publish', 'consume', 'group'] as const).flatMap(
  (path) => {
    const floor = path === 'publish' ? 'publish_floor' : 'consume_floor'
    return (['clientCpuUs', 'redisCpuUs', 'perSecond'] as const).map((figure) => {
      return { id: `${path}_${suffixes[figure]}`, path, floor, figure } satisfies Watched
    })
  },
)

/** @throws where one of the watched ratios has no usual value */
export function gatesOf(usual: Readonly<Record<string, number>>): readonly Gate[] {
  return watched.map((one) => {
    const ratio = usual[one.id]
    if (ratio === undefined) throw new Error(`${one.id} has no usual value: take them anew`)
    return gateOf(one, ratio)
  })
}

export function holds(gate: Gate, ratio: number, quick: boolean): boolean {
  const limit = quick ? gate.quick : gate.limit
  // Written so that a ratio that is not a number does not hold.
  return gate.direction === 'at most' ? ratio <= limit : ratio >= limit
}

/**
 * Whether a path has become so much faster since the limits were made that it could become as slow again as the
 * slack allows, and slower, without being noticed. Only the client's CPU tells for sure.
 */
export function isOutgrown({ figure, limit }: Gate, ratio: number): boolean {
  return figure === 'clientCpuUs' && ratio * slack[figure] ** 2 < limit
}

function gateOf({ id, path, floor, figure }: Watched, usual: number): Gate {
  const watching = { id, path, floor, figure }
  const factor = slack[figure]
  return figure === 'perSecond'
    ? { ...watching, direction: 'at least', limit: usual / factor, quick: usual / QUICK_SLACK }
    : { ...watching, direction: 'at most', limit: usual * factor, quick: usual * QUICK_SLACK }
}
