import { type ChildProcess, spawn } from 'node:child_process'

/**
 * A small shell process that outlives this one by a moment, to kill the servers and remove the folders
 * that this process can no longer clean up. It learns of our end by the closing of its standard input,
 * which the kernel does however we die, SIGKILL included.
 */
const GUARD_SCRIPT = `
pids=' '
folders=
while read -r verb value; do
  case $verb in
    guard) pids="$pids$value " ;;
    forget) pids="\${pids%% $value *} \${pids#* $value }" ;;
    sweep) folders="$folders$value
" ;;
  esac
done
for pid in $pids; do kill -9 "$pid"; done
printf %s "$folders" | while IFS= read -r folder; do rm -rf -- "$folder"; done
`

let guard: ChildProcess | undefined

/** Kills `pid` should this process end without having called {@link forgetProcess}. */
export function guardProcess(pid: number): Promise<void> {
  return tell(`guard ${pid}`)
}

/** To be called once a guarded process has ended, so that a later owner of its number is left alone. */
export function forgetProcess(pid: number): Promise<void> {
  return tell(`forget ${pid}`)
}

/** Removes `folder` when this process has ended. */
export function sweepFolder(folder: string): Promise<void> {
  return tell(`sweep ${folder}`)
}

function tell(line: string): Promise<void> {
  const stdin = startedGuard().stdin
  return new Promise((resolve, reject) => {
    if (!stdin) reject(new Error('the process guard has no standard input'))
    else stdin.write(`${line}\n`, (error) => (error ? reject(error) : resolve()))
  })
}

/** One guard serves the whole process. It never holds the event loop open: it exists for what comes after. */
function startedGuard(): ChildProcess {
  if (guard && guard.exitCode === null && guard.signalCode === null) return guard
  // Its own process group, so that a Ctrl-C in the terminal does not end it before its work is there.
  guard = spawn('sh', ['-c', GUARD_SCRIPT], {
    cwd: '/',
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  // A failure to start or to write surfaces in the promise of the write.
  guard.on('error', () => {})
  guard.stdin?.on('error', () => {})
  guard.unref()
  if (guard.stdin && 'unref' in guard.stdin && typeof guard.stdin.unref === 'function')
    guard.stdin.unref()
  return guard
}
