import { MillraceError } from '../errors.ts'

/** What the handlers of a member are told whose lease is lost or in doubt. */
export function leaseLost(
  because: string,
  facts: { readonly stream: string; readonly name: string },
): MillraceError {
  return new MillraceError(
    'LEASE_LOST',
    `The lease of a member of ${facts.name} is lost: ${because}`,
    facts,
  )
}
