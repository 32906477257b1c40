/** Headers of events that take part in a migration; on the wire each begins with `h:`. */
export const changeHeaders = {
  /** What changed, so that it is known again whichever way it comes: key and version, or content hash. */
  change: 'change',
  /** The source's cursor after this change, as JSON. Of sources whose cursor is opaque: at the end of a page. */
  cursor: 'cursor',
  /** `1` when the item is gone from its source. */
  deleted: 'deleted',
} as const
