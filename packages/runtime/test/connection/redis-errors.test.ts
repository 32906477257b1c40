import { describe, expect, it } from 'vitest'
import { startRedis } from '@millrace/testkit'
import { resolveConnectOptions } from '../../src/connection/options.ts'
import { fromRedis, isPassing, type Trouble, troubleOf } from '../../src/connection/redis-errors.ts'
import { isMillraceError } from '../../src/errors.ts'

const ERROR_TEXTS: readonly (readonly [string, Trouble])[] = [
  ["READONLY You can't write against a read only replica.", 'read-only'],
  [
    "-READONLY You can't write against a read only replica. script: 1a2b, on @user_script:1.",
    'read-only',
  ],
  ["MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", 'read-only'],
  ['MOVED 3999 127.0.0.1:6381', 'moved'],
  ['ASK 3999 127.0.0.1:6381', 'moved'],
  ['TRYAGAIN Multiple keys request during rehashing of slot', 'clusterdown'],
  ['CLUSTERDOWN The cluster is down', 'clusterdown'],
  ['LOADING Redis is loading the dataset in memory', 'loading'],
  [
    'BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.',
    'busy',
  ],
  ['BUSYGROUP Consumer Group name already exists', 'group-exists'],
  ["NOGROUP No such consumer group 'g' for key name 's'", 'no-group'],
  ['NOSCRIPT No matching script. Please use EVAL.', 'no-script'],
  ["OOM command not allowed when used memory > 'maxmemory'.", 'out-of-memory'],
  ['MISCONF Redis is configured to save RDB snapshots', 'write-refused'],
  ['NOREPLICAS Not enough good replicas to write.', 'write-refused'],
  ['UNBLOCKED client unblocked via CLIENT UNBLOCK', 'unblocked'],
  ['UNBLOCKED the stream key no longer exists', 'unblocked'],
  ['WRONGTYPE Operation against a key holding the wrong kind of value', 'wrong-type'],
  ["NOPERM this user has no permissions to run the 'xread' command", 'no-permission'],
  [
    "ERR The user executing the script can't run this command or subcommand script: 1a2b, on @user_script:1.",
    'no-permission',
  ],
  ['NOAUTH Authentication required.', 'no-auth'],
  ['WRONGPASS invalid username-password pair or user is disabled.', 'no-auth'],
  ["ERR unknown command 'XAUTOCLAIM', with args beginning with: ", 'unsupported'],
  ['ERR max number of clients reached', 'disconnected'],
  ['ERR WAIT cannot be used with replica instances. Please also note …', 'read-only'],
  ['Connection is closed.', 'disconnected'],
  ["Stream isn't writeable and enableOfflineQueue options is false", 'disconnected'],
  ["Socket timeout. Expecting data, but didn't receive any in 5000ms.", 'disconnected'],
  ['ERR value is not an integer or out of range', 'other'],
  ['something else', 'other'],
]

describe('The texts of Redis and its client', () => {
  it.each(ERROR_TEXTS)('%s', (text, trouble) => {
    expect(troubleOf(new Error(text))).toBe(trouble)
  })

  it('say nothing where the thrown thing is no error', () => {
    expect(troubleOf('READONLY')).toBe('other')
    expect(troubleOf(undefined)).toBe('other')
  })

  it('become UNAVAILABLE exactly where waiting may help', () => {
    for (const [text, trouble] of ERROR_TEXTS) {
      expect(fromRedis(new Error(text)).code === 'UNAVAILABLE', text).toBe(isPassing(trouble))
    }
  })

  it('are what a real server says', async () => {
    await using server = await startRedis()
    const redis = server.client()
    await redis.set('text', 'a')
    const of = (work: Promise<unknown>): Promise<Trouble> =>
      work.then(() => 'other' as const, troubleOf)
    expect(await of(redis.xlen('text'))).toBe('wrong-type')
    expect(await of(redis.evalsha('0'.repeat(40), 0))).toBe('no-script')
    expect(await of(redis.call('xnothing'))).toBe('unsupported')
    expect(await of(redis.eval("return redis.call('XLEN', KEYS[1])", 1, 'text'))).toBe('wrong-type')
    await redis.xadd('s', '*', 'data', '1')
    expect(await of(redis.xreadgroup('GROUP', 'g', 'c', 'STREAMS', 's', '>'))).toBe('no-group')
    await redis.xgroup('CREATE', 's', 'g', '0')
    expect(await of(redis.xgroup('CREATE', 's', 'g', '0'))).toBe('group-exists')
    await redis.config('SET', 'maxmemory', '1')
    expect(await of(redis.xadd('s', '*', 'data', '1'))).toBe('out-of-memory')
    expect(await of(redis.eval("return redis.call('XADD', KEYS[1], '*', 'a', 'b')", 1, 's'))).toBe(
      'out-of-memory',
    )
    await redis.config('SET', 'maxmemory', '0')
    await redis.call('replicaof', '127.0.0.1', '1')
    expect(await of(redis.xadd('s', '*', 'data', '1'))).toBe('read-only')
    expect(await of(redis.eval("return redis.call('XADD', KEYS[1], '*', 'a', 'b')", 1, 's'))).toBe(
      'read-only',
    )
  })
})

describe('The options of a connection', () => {
  it('are refused with one error that lists all problems, without the password', () => {
    try {
      resolveConnectOptions('http://user:secret@somewhere', {
        deadlineMs: 0,
        prefix: 'a b',
        // @ts-expect-error what a program without types may pass
        retries: 3,
      })
      expect.unreachable()
    } catch (error) {
      if (!isMillraceError(error, 'OPTIONS_INVALID')) throw error
      expect(error.issues.map((issue) => issue.split(' ')[0])).toEqual([
        'deadlineMs',
        'prefix',
        'retries',
        'url',
      ])
      expect(error.message).not.toContain('secret')
    }
  })
})
