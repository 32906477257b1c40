/** The ids of published events; all of them are in the stream where nobody spools. */
export function idsOf(results: readonly { readonly id?: string | undefined }[]): string[] {
  return results.map(({ id }) => {
    if (id === undefined) throw new Error('the event is not in the stream')
    return id
  })
}
