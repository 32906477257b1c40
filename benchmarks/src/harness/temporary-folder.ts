import { rmSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A folder that is gone when it is disposed of, or when this process ends. */
export interface TemporaryFolder extends AsyncDisposable {
  readonly path: string
}

const folders = new Set<string>()
process.on('exit', () => {
  for (const folder of folders) removeAtExit(folder)
})

/** @param purpose part of its name */
export async function temporaryFolder(purpose: string): Promise<TemporaryFolder> {
  const path = await mkdtemp(join(tmpdir(), `millrace-${purpose}-`))
  folders.add(path)
  return {
    path,
    [Symbol.asyncDispose]: async () => {
      await rm(path, { recursive: true, force: true })
      folders.delete(path)
    },
  }
}

/** Whoever still writes there is being killed; what it adds meanwhile is not worth an error. */
function removeAtExit(folder: string): void {
  try {
    rmSync(folder, { recursive: true, force: true, maxRetries: 2 })
  } catch (error) {
    process.stderr.write(`${folder} could not be removed: ${String(error)}\n`)
  }
}
