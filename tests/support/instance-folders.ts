import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Sockets and state of instances in a folder of this test alone, for this process and its children. */
export interface InstanceFolders {
  readonly folder: string
  /** Takes the folder away and puts the environment back. */
  remove(): void
}

export function useInstanceFolders(): InstanceFolders {
  const folder = mkdtempSync(join(tmpdir(), 'shoal-t-'))
  const { XDG_RUNTIME_DIR, XDG_STATE_HOME } = process.env
  process.env.XDG_RUNTIME_DIR = join(folder, 'run')
  process.env.XDG_STATE_HOME = join(folder, 'state')
  return {
    folder,
    remove() {
      for (const [name, value] of Object.entries({ XDG_RUNTIME_DIR, XDG_STATE_HOME })) {
        if (value === undefined) delete process.env[name]
        else process.env[name] = value
      }
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
