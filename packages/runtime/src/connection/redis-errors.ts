import { isMillraceError, messageOf, MillraceError } from '../errors.ts'

/**
 * The one place where error texts of Redis and of its client are read. Only the code word counts (the
 * sentences differ between Redis and Valkey and between versions), but for the few replies that all
 * begin with `ERR`.
 */

/** What went wrong, as far as the runtime has to tell it apart. */
export type Trouble =
  | 'busy' // a script blocks the server
  | 'clusterdown' // the cluster does not serve the slot just now
  | 'disconnected' // no reply: the outcome is unknown
  | 'group-exists'
  | 'loading'
  | 'moved' // another node serves the slot
  | 'no-auth'
  | 'no-group' // the group or its stream is gone
  | 'no-permission'
  | 'no-script'
  | 'out-of-memory'
  | 'read-only' // a replica, or a master that was demoted
  | 'unblocked' // a blocking read was ended from outside
  | 'unsupported' // the server does not know the command or the option
  | 'write-refused' // MISCONF, NOREPLICAS: nothing is written just now
  | 'wrong-type'
  | 'other'

const CODE_WORDS: Readonly<Record<string, Trouble>> = {
  ASK: 'moved',
  BUSY: 'busy',
  BUSYGROUP: 'group-exists',
  CLUSTERDOWN: 'clusterdown',
  CROSSSLOT: 'other',
  LOADING: 'loading',
  MASTERDOWN: 'read-only',
  MISCONF: 'write-refused',
  MOVED: 'moved',
  NOAUTH: 'no-auth',
  NOGROUP: 'no-group',
  NOPERM: 'no-permission',
  NOREPLICAS: 'write-refused',
  NOSCRIPT: 'no-script',
  OOM: 'out-of-memory',
  READONLY: 'read-only',
  TRYAGAIN: 'clusterdown',
  UNBLOCKED: 'unblocked',
  WRONGPASS: 'no-auth',
  WRONGTYPE: 'wrong-type',
}

/** What the client throws when the connection ended before a reply came. */
const DISCONNECTED_NAMES = new Set([
  'AbortError',
  'MaxRetriesPerRequestError',
  'ClusterAllFailedError',
])
const DISCONNECTED_TEXTS =
  /^(Connection is closed|Connection is in subscriber mode|Stream isn't writeable|Socket timeout|connect ETIMEDOUT|Command timed out|Reply was cut)/
const SYSTEM_CODES = /^(E[A-Z]+|ERR_SOCKET|ERR_TLS|CERT_)/

export function troubleOf(error: unknown): Trouble {
  if (!(error instanceof Error)) return 'other'
  if (DISCONNECTED_NAMES.has(error.name)) return 'disconnected'
  const code: unknown = Reflect.get(error, 'code')
  if (typeof code === 'string' && SYSTEM_CODES.test(code)) return 'disconnected'
  const text = error.message
  if (DISCONNECTED_TEXTS.test(text)) return 'disconnected'
  const word = /^-?([A-Z]+)/.exec(text)?.[1] ?? ''
  const known = CODE_WORDS[word]
  if (known !== undefined) return known
  // A script's own failure quotes the inner error: `ERR OOM command not allowed … script: …`.
  const inner = /^(?:ERR|EXECABORT) (?:Error running script[^:]*: )?-?([A-Z]+) /.exec(text)?.[1]
  if (inner !== undefined && CODE_WORDS[inner] !== undefined) return CODE_WORDS[inner]
  if (/^ERR (unknown command|syntax error|unknown subcommand|Unknown subcommand)/i.test(text)) {
    return 'unsupported'
  }
  // Inside a script a missing right has no code word, and another sentence in Redis 7.0 than later.
  if (/^ERR (The user executing the script can't|ACL failure in script)/.test(text))
    return 'no-permission'
  if (/^ERR (max number of clients)/.test(text)) return 'disconnected'
  if (/^ERR (WAIT|WAITAOF) cannot be used with replica/.test(text)) return 'read-only'
  if (/^ERR (no such key|The XGROUP subcommand requires the key to exist)/i.test(text))
    return 'no-group'
  return 'other'
}

/** Whether waiting and trying again, on a new connection where needed, may help. */
export function isPassing(trouble: Trouble): boolean {
  switch (trouble) {
    case 'busy':
    case 'clusterdown':
    case 'disconnected':
    case 'loading':
    case 'moved':
    case 'no-script':
    case 'read-only':
    case 'unblocked':
    case 'write-refused':
      return true
    case 'group-exists':
    case 'no-auth':
    case 'no-group':
    case 'no-permission':
    case 'other':
    case 'out-of-memory':
    case 'unsupported':
    case 'wrong-type':
      return false
    default:
      return trouble satisfies never
  }
}

/** Turns whatever Redis or the client threw into the one error class. */
export function fromRedis(
  error: unknown,
  facts: { stream?: string; name?: string } = {},
): MillraceError {
  if (isMillraceError(error)) return error
  const text = messageOf(error)
  const trouble = troubleOf(error)
  const all = { ...facts, cause: error }
  switch (trouble) {
    case 'no-auth':
      return new MillraceError('AUTH_FAILED', `Redis refused the login: ${text}`, all)
    case 'no-permission':
      return new MillraceError('PERMISSION_DENIED', `The Redis user lacks a right: ${text}`, all)
    case 'out-of-memory':
      return new MillraceError('OUT_OF_MEMORY', `Redis is out of memory: ${text}`, all)
    case 'unsupported':
      return new MillraceError(
        'SERVER_UNSUPPORTED',
        `The server does not know a command: ${text}`,
        all,
      )
    case 'wrong-type':
      return new MillraceError('KEY_TYPE', `A key holds another type: ${text}`, all)
    case 'group-exists':
    case 'no-group':
    case 'other':
      return new MillraceError('INTERNAL', `Redis answered: ${text}`, all)
    case 'busy':
    case 'clusterdown':
    case 'disconnected':
    case 'loading':
    case 'moved':
    case 'no-script':
    case 'read-only':
    case 'unblocked':
    case 'write-refused':
      return new MillraceError('UNAVAILABLE', `Redis is not available: ${text}`, all)
    default:
      return trouble satisfies never
  }
}
