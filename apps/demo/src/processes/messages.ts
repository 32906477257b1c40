/** The variable through which a process learns its part; a URL may hold a password, so it is no argument. */
export const SETTINGS_VARIABLE = 'MILLRACE_DEMO_ROLE'

/** What a process is to do. */
export interface RoleSettings {
  /** Its own name: `departures-board-1`, `worker-3`. */
  readonly name: string
  /** The name under which Redis keeps its position or its group; empty for the producer. */
  readonly consumer: string
  readonly redisUrl: string
  /** Stands before every key, so that each run has streams of its own. */
  readonly prefix: string
  readonly journalPath: string
  readonly seconds: number
  readonly eventsPerSecond: number
  /** The flight system's database; empty where the role has nothing to do with it. */
  readonly tablePath: string
  /** The old API; empty where the role does not poll. */
  readonly apiUrl: string
}

/** What a process has used since it was started. */
export interface Usage {
  readonly cpuMs: number
  readonly memoryBytes: number
  /** Requests that it sent to the old API. */
  readonly requests: number
}

/** What a process tells the parent. */
export type Report =
  /** It holds its lease, or is a member. */
  | { readonly is: 'ready' }
  /** What it is about, in words for the screen. */
  | { readonly is: 'status'; readonly text: string }
  /** It answers requests. */
  | { readonly is: 'serving'; readonly url: string }
  /** What it has used, as it was asked. */
  | { readonly is: 'usage'; readonly usage: Usage }
  /** It took over events of a dead member. */
  | { readonly is: 'claimed'; readonly from: string; readonly events: number }
  /** It cannot go on. */
  | { readonly is: 'failed'; readonly message: string }

/** What the parent tells a process. */
export type Order =
  /** Finish what was begun, then end. */
  | { readonly is: 'drain' }
  /** Publish what is written. */
  | { readonly is: 'publish' }
  /** Make no more of it, but go on serving what there is. */
  | { readonly is: 'stop' }
  /** Tell what it has used. */
  | { readonly is: 'report-usage' }
