/**
 * Thrown by a handler for an event that no further attempt can save: it is not tried again, whatever
 * `maxAttempts` says. An error of any other class counts too when its `unrecoverable` is `true`, so
 * that code which knows nothing of Millrace can say it.
 */
export class UnrecoverableError extends Error {
  override readonly name: string = 'UnrecoverableError'
  readonly unrecoverable: true = true
}

/** Whether whatever a handler threw says that trying again is of no use. */
export function isUnrecoverable(error: unknown): boolean {
  return typeof error === 'object' && error !== null && Reflect.get(error, 'unrecoverable') === true
}
