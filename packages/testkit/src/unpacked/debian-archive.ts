import { canInstallPackages, updatePackageLists } from '../provision/install-package.ts'
import { outputOf } from '../provision/run-command.ts'

/** What {@link debianArchive} tells while it works, and what ends it. */
export interface DebianArchiveOptions {
  readonly log: (line: string) => void
  readonly signal?: AbortSignal | undefined
}

/**
 * The address of the Debian archive that this machine's apt is set up for, mirrors and all; `undefined`
 * where apt is set up for something else, such as Ubuntu's archive.
 */
export async function debianArchive(options: DebianArchiveOptions): Promise<string | undefined> {
  const known = await configuredArchive()
  if (known !== undefined || !(await canInstallPackages())) return known
  // On a new machine apt does not know yet whose archive it is set up for.
  await updatePackageLists(options)
  return configuredArchive()
}

async function configuredArchive(): Promise<string | undefined> {
  const format = '$(LABEL) $(COMPONENT) $(REPO_URI)'
  const targets = await outputOf('apt-get', [
    'indextargets',
    '--format',
    format,
    'Created-By: Packages',
  ])
  const lines = targets?.split('\n') ?? []
  return lines.map((line) => /^Debian main (\S+)$/.exec(line)?.[1]).find((uri) => uri !== undefined)
}
