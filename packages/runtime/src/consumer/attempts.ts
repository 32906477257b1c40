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

/** Failed attempts by event, and whether the server has heard of them as they are. */
export class AttemptBook {
  readonly #attempts: Map<string, number>
  #changed = false

  constructor(attempts: ReadonlyMap<string, number>) {
    this.#attempts = new Map(attempts)
  }

  of(id: string): number {
    return this.#attempts.get(id) ?? 0
  }

  note(id: string, attempts: number): void {
    this.#attempts.set(id, attempts)
    this.#changed = true
  }

  forget(id: string): void {
    if (this.#attempts.size > 0 && this.#attempts.delete(id)) this.#changed = true
  }

  /** As text, if there is anything to tell; it then counts as told. */
  takeChanges(): string | undefined {
    if (!this.#changed) return undefined
    this.#changed = false
    return this.text
  }

  /** What was told was refused. */
  tellAgain(): void {
    this.#changed = true
  }

  get text(): string {
    return formatAttempts(this.#attempts)
  }
}
