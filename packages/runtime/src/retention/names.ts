/**
 * The prefix of the fields in `:meta` that say who reads the stream, `name:<name>` = `consumer` or `group`:
 * the native group of a name may be destroyed by anybody, and what its owner has not processed must not
 * look like nobody's.
 */
export const NAME_FIELD = 'name:'

/**
 * The prefix of the fields in `:meta` about native groups of others, which have no state:
 * `foreign:<name>` = `<expired>|<last-delivered-id>|<pending>|<when these changed, in ms>`.
 */
export const FOREIGN_FIELD = 'foreign:'

/**
 * The prefix of the fields in `:meta` that name those who are gone and whose dead letters are still there:
 * blobs that they refer to must stay.
 */
export const LETTERS_FIELD = 'letters:'
