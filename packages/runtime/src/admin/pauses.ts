/** The field of `:meta` that says who is paused: a line for each pause. */
export const PAUSED_FIELD = 'paused'

/** A pause of an event stream, or of one consumer or consumer group, that everybody keeps to. */
export interface StreamPause {
  /** The consumer or consumer group; undefined for all of the stream. */
  readonly name: string | undefined
  /** Who has paused it. */
  readonly by: string
  readonly reason: string
  /** Since when, in milliseconds since 1970 by the server's clock. */
  readonly sinceMs: number
}

/** What stands for all names of the stream. */
export const EVERYBODY = '*'

/** Reads `<name or *>|<ms>|<by>|<reason>`, line by line. */
export function parsePauses(text: string): StreamPause[] {
  const pauses: StreamPause[] = []
  for (const line of text.split('\n')) {
    const [name, sinceMs, by, ...reason] = line.split('|')
    if (name === undefined || sinceMs === undefined || by === undefined) continue
    pauses.push({
      name: name === EVERYBODY ? undefined : name,
      by,
      reason: reason.join('|'),
      sinceMs: Number(sinceMs),
    })
  }
  return pauses
}

/** What pauses a consumer or consumer group, if anything does. */
export function pauseOf(text: string, name: string): StreamPause | undefined {
  // Hardly ever is anything paused, and this is asked at every beat.
  if (text === '') return undefined
  return parsePauses(text).find((pause) => pause.name === undefined || pause.name === name)
}
