/** What the runner hands over, by k6's `--env`. */
export interface Settings {
  readonly url: string
  readonly isQuick: boolean
  readonly perSecond: number
  readonly seconds: number
  readonly consumers: number
  readonly waitS: number
  readonly oldEveryS: number
  readonly latencyP99Ms: number
  readonly publishP99Ms: number
  readonly handledShare: number
  readonly reportPath: string
  readonly environment: unknown
}

export const settings: Settings = JSON.parse(given('SETTINGS')) as Settings

function given(name: string): string {
  const value = __ENV[name]
  if (value === undefined) throw new Error(`${name} is not set: start this with npm run bench:k6`)
  return value
}
