/** Attempts of failed events as text for the state in Redis: `id=n,id=n`. */
export function formatAttempts(attempts: ReadonlyMap<string, number>): string {
  return [...attempts].map(([id, count]) => `${id}=${count}`).join(',')
}

export function parseAttempts(text: string): Map<string, number> {
  const attempts = new Map<string, number>()
  for (const part of text === '' ? [] : text.split(',')) {
    const [id, count] = part.split('=')
    if (id !== undefined && count !== undefined) attempts.set(id, Number(count))
  }
  return attempts
}
