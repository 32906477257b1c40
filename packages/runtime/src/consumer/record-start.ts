import { messageOf } from '../errors.ts'
import { recordStart } from './start-script.ts'
import type { TenureEnd, TenureScope } from './tenure-scope.ts'

/** Records a start in quarantine; answers why the tenure has to end where that could not be done. */
export async function recordStartOf<Data>(
  { core, keys, options }: TenureScope<Data>,
  request: { readonly token: string; readonly attempts: string; readonly left: number },
): Promise<TenureEnd | undefined> {
  try {
    const ours = await core.connections.call('control', keys.tag, (session) =>
      recordStart(session, keys, { name: options.name, ...request }),
    )
    return ours ? undefined : { why: 'lost', detail: 'another holder took over' }
  } catch (failure) {
    return { why: 'resync', detail: messageOf(failure) }
  }
}
