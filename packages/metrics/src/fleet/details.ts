import type { Command, FleetNode, Reply } from './node.ts'

/** Something that is worth a command now and then, beside what each scrape reads anyway. */
export interface Detail {
  /** The same for the same thing at each scrape. */
  readonly id: string
  readonly node: FleetNode
  readonly command: Command
  /** How often it is worth reading at most, in milliseconds. */
  readonly everyMs: number
  readonly apply: (value: unknown) => void
  /** Called instead when the key is not there any more. */
  readonly gone?: () => void
}

interface Turn {
  readonly atMs: number
  readonly wasRead: boolean
}

/**
 * Reads details in turns: those first that were read longest ago, as many as the budget allows. So the cost
 * of a scrape is bounded whatever the number of groups, and every group gets its turn.
 */
export class Details {
  /** When each was read last; of one that was not read yet, when it was first asked for. */
  #turns = new Map<string, Turn>()

  /** Answers how old the oldest detail is, in milliseconds. */
  async read(
    details: readonly Detail[],
    mostCommands: number,
    nowMs: number,
    signal: AbortSignal,
    onFailure: (reply: Reply) => void,
  ): Promise<number> {
    const turns = new Map<string, Turn>()
    for (const { id } of details) {
      turns.set(id, this.#turns.get(id) ?? { atMs: nowMs, wasRead: false })
    }
    this.#turns = turns
    const chosen = this.#chosen(details, mostCommands, nowMs)
    await Promise.all(
      [...Map.groupBy(chosen, ({ node }) => node)].map(async ([node, own]) => {
        const replies = await node.run(
          own.map(({ command }) => command),
          signal,
        )
        for (const [index, reply] of replies.entries()) {
          const detail = own[index]
          if (detail === undefined) continue
          // One that fails has had its turn as well: it must not keep others from theirs.
          if (reply.failure !== 'deadline') turns.set(detail.id, { atMs: nowMs, wasRead: true })
          if (reply.failure === undefined) detail.apply(reply.value)
          else if (reply.failure === 'gone') detail.gone?.()
          else onFailure(reply)
        }
      }),
    )
    let oldestMs = nowMs
    for (const { atMs } of turns.values()) oldestMs = Math.min(oldestMs, atMs)
    return nowMs - oldestMs
  }

  #chosen(details: readonly Detail[], mostCommands: number, nowMs: number): readonly Detail[] {
    if (mostCommands <= 0) return []
    const due: { readonly detail: Detail; readonly waitedMs: number }[] = []
    for (const detail of details) {
      const turn = this.#turns.get(detail.id)
      const waitedMs = turn?.wasRead === true ? nowMs - turn.atMs : Number.POSITIVE_INFINITY
      // Whatever was read in this scrape already has not waited at all.
      if (waitedMs >= Math.max(detail.everyMs, 1)) due.push({ detail, waitedMs })
    }
    if (due.length > mostCommands) {
      due.sort((a, b) => compare(b.waitedMs, a.waitedMs))
      due.length = mostCommands
    }
    return due.map(({ detail }) => detail)
  }
}

/** Infinities cannot be subtracted from each other. */
function compare(a: number, b: number): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}
