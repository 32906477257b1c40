import type { Connections } from '../connection/connections.ts'
import { defineScript, evaluate, type Script } from '../connection/script.ts'
import { compareIds, FIRST_ID } from '../stream/stream-id.ts'
import type { StreamFeed } from './stream-feed.ts'

const checkStreamsScript: Script = defineScript(
  'check-streams',
  `
--[[ Looks whether streams are still what their readers think.
KEYS stream and meta, in turns
Answers for each stream incarnation or '', last-generated-id or ''
]]
local answer = {}
for i = 1, #KEYS, 2 do
  answer[#answer + 1] = redis.call('HGET', KEYS[i + 1], 'incarnation') or ''
  local last = ''
  if redis.call('EXISTS', KEYS[i]) == 1 then
    local info = redis.call('XINFO', 'STREAM', KEYS[i])
    for j = 1, #info, 2 do
      if info[j] == 'last-generated-id' then last = info[j + 1] end
    end
  end
  answer[#answer + 1] = last
end
return answer
`,
)

/** The streams that are not what they were, each with what is wrong. */
export async function checkStreams(
  connections: Connections,
  tag: string,
  feeds: readonly StreamFeed[],
  signal: AbortSignal,
): Promise<[StreamFeed, string][]> {
  if (feeds.length === 0) return []
  const cursors = feeds.map((feed) => feed.cursor)
  const reply = (await connections.call(
    'control',
    tag,
    (session) =>
      evaluate(
        session,
        checkStreamsScript,
        feeds.flatMap((feed) => [feed.keys.stream, feed.keys.meta]),
        [],
      ),
    { signal },
  )) as string[]
  const changed: [StreamFeed, string][] = []
  feeds.forEach((feed, index) => {
    const incarnation = reply[index * 2] ?? ''
    // A stream that does not exist yet is one that nothing was read of.
    const lastId = reply[index * 2 + 1] || FIRST_ID
    if (incarnation !== feed.incarnation) changed.push([feed, 'the stream was created anew'])
    else if (compareIds(lastId, cursors[index] ?? lastId) < 0) {
      changed.push([feed, 'the last id of the stream went back'])
    }
  })
  return changed
}
