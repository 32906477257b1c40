/** Why a command or a connection of the exporter failed. */
export type Failure =
  | 'connection' // refused, lost, or no answer in time
  | 'deadline' // the scrape was over before its turn came
  | 'gone' // the key or the group does not exist any more
  | 'moved' // another node of the cluster serves the key
  | 'no-script'
  | 'other'
  | 'permission' // the user lacks a right, or the login was refused
  | 'wrong-type'

/** The failures that are counted as errors: keys come and go, and scripts are forgotten. */
export const COUNTED_FAILURES: readonly Failure[] = [
  'connection',
  'deadline',
  'moved',
  'other',
  'permission',
]

const CODE_WORDS: Readonly<Record<string, Failure>> = {
  ASK: 'moved',
  CLUSTERDOWN: 'connection',
  LOADING: 'connection',
  MOVED: 'moved',
  NOAUTH: 'permission',
  NOGROUP: 'gone',
  NOPERM: 'permission',
  NOSCRIPT: 'no-script',
  TRYAGAIN: 'moved',
  WRONGPASS: 'permission',
  WRONGTYPE: 'wrong-type',
}

/** The one place where texts of errors are read: only the code word counts where there is one. */
export function failureOf(error: unknown): Failure {
  if (!(error instanceof Error)) return 'other'
  const word = /^-?([A-Z]+)/.exec(error.message)?.[1] ?? ''
  const known = CODE_WORDS[word]
  if (known !== undefined) return known
  if (word !== 'ERR') return 'connection'
  if (/no such key/i.test(error.message)) return 'gone'
  // Inside of a script a missing right has no code word, and not the same sentence everywhere.
  if (/can't run this command|ACL failure|NOPERM|can't access/i.test(error.message))
    return 'permission'
  if (/NOGROUP/.test(error.message)) return 'gone'
  return 'other'
}
