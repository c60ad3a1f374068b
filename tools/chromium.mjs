import { spawnSync } from 'node:child_process'
import { accessSync, constants, existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'microsoft-edge']
const MAC_APPS = ['Google Chrome', 'Chromium', 'Microsoft Edge'].map((name) => `/Applications/${name}.app/Contents/MacOS/${name}`)

/** Path of a Chromium: `CHROME_PATH`, else the first known name on the path; undefined when there is none. */
export function findChromium() {
  if (process.env.CHROME_PATH) return process.env.CHROME_PATH
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '')
  const candidates = [...NAMES.flatMap((name) => folders.map((folder) => join(folder, name))), ...MAC_APPS]
  return candidates.find(isExecutable)
}

/** As {@link findChromium}; installs one first where that needs no question: as root on Debian and its kin. */
export async function ensureChromium() {
  const found = findChromium()
  if (found !== undefined || process.getuid?.() !== 0 || !existsSync('/etc/debian_version')) return found
  process.stdout.write('no Chromium here: installing the one of this Debian\n')
  if (await apt(['update', '-qq'])) await apt(['install', '-y', '-qq', '--no-install-recommends', 'chromium'])
  return findChromium()
}

/** Runs apt-get; waits up to five minutes for another one that holds its lock. */
async function apt(args) {
  for (let attempt = 0; attempt < 60; attempt++) {
    const { status, stderr } = spawnSync('apt-get', args, {
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
      stdio: ['ignore', 'ignore', 'pipe'],
      encoding: 'utf8',
      timeout: 600_000,
    })
    if (status === 0) return true
    if (!/could not get lock|unable to (acquire|lock)/i.test(stderr ?? '')) {
      process.stdout.write(`apt-get ${args[0]} failed: ${stderr ?? 'it is not there'}\n`)
      return false
    }
    await wait(5_000)
  }
  return false
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
