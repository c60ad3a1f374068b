/**
 * Installs what package-lock.json lists when it is not there yet, so that a bare clone needs one command. Runs on the system's own Node (20 or
 * later) before node_modules exists: plain JavaScript, no packages.
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const lockFile = join(root, 'package-lock.json')
const markFile = join(root, 'node_modules', '.ready')

const digest = createHash('sha256').update(readFileSync(lockFile)).digest('hex')
if (!isMarked() && !isInstalled()) {
  process.stderr.write('installing the packages of package-lock.json, once; this takes a minute\n')
  const common = ['--include=dev', '--loglevel=error', '--no-progress']
  const installed = npm(['ci', ...common]) || npm(['install', '--no-save', ...common])
  if (!installed) {
    process.stderr.write('npm could not install the packages: its message is above. Is the registry of your npm configuration reachable?\n')
    process.exit(1)
  }
}
writeFileSync(markFile, `${digest}\n`)

function isMarked() {
  return existsSync(markFile) && readFileSync(markFile, 'utf8').trim() === digest
}

/** True when npm's own record of node_modules has every package of the lockfile; what is optional depends on the platform and may be missing. */
function isInstalled() {
  try {
    const present = JSON.parse(readFileSync(join(root, 'node_modules', '.package-lock.json'), 'utf8')).packages
    const wanted = JSON.parse(readFileSync(lockFile, 'utf8')).packages
    return Object.entries(wanted).every(
      ([path, entry]) => path === '' || entry.optional || entry.devOptional || present[path]?.version === entry.version,
    )
  } catch {
    return false
  }
}

function npm(args) {
  const options = { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] }
  const cli = process.env.npm_execpath
  const result =
    cli === undefined
      ? spawnSync('npm', args, { ...options, shell: process.platform === 'win32' })
      : spawnSync(process.execPath, [cli, ...args], options)
  return result.status === 0
}
