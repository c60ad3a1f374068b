/**
 * Builds and packs the package, looks at the tarball as its users' tools will (publint, attw), and imports every door of it from a folder that has
 * only what package.json calls dependencies.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const require = createRequire(import.meta.url)
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const folder = mkdtempSync(join(tmpdir(), 'shoal-package-'))

/** The published files find their worker and their process: one call through each. */
const SERVING = `
import * as serve from '${manifest.name}'
const client = await serve.start({ http: false, logger: { debug() {}, info() {}, warn() {}, error() {} } })
for (const isolation of ['inline', 'thread', 'process']) {
  await client.createBackend(isolation, (request) => request.data + 1, { replicaOptions: { isolation } })
  await client.createEndpoint(isolation, { backend: isolation })
  const answer = await client.getHandle(isolation).remote(5)
  if (answer !== 6) throw new Error(isolation + ' answered ' + answer)
}
await client.close()
console.log('served from this thread, a worker thread and a process')
`

try {
  process.exitCode = check() ? 0 : 1
} finally {
  rmSync(folder, { recursive: true, force: true })
}

function check() {
  if (!node([join(root, 'tools', 'build.mjs')])) return fail('build')
  const missing = namedFiles().filter((file) => !existsSync(join(root, file)))
  if (missing.length > 0) return fail(`package.json names what the build did not make: ${missing.join(', ')}`)
  if (existsSync(join(root, 'dist', 'cli.js')) && manifest.bin === undefined)
    return fail('package.json lacks "bin": { "shoal": "dist/cli.js" }')
  const tarball = pack()
  if (tarball === undefined) return fail('npm pack')
  const checks = [
    ['publint', () => node([program('publint', 'publint'), 'run', tarball, '--strict'])],
    ['attw', () => quietNode([program('@arethetypeswrong/cli', 'attw'), tarball, '--profile', 'esm-only', '--no-emoji'])],
    ['platform-free doors', () => ['core.js', 'browser.js'].every(reachesNoNodeModule)],
    ['import', () => importDoors(tarball)],
    ['serving', () => runScript('serve.mjs', SERVING)],
  ]
  return checks.filter(([name, run]) => !run() && !fail(name)).length === 0
}

/** Every file that `exports` and `bin` promise. */
function namedFiles() {
  const leaves = (value) => (typeof value === 'string' ? [value] : Object.values(value).flatMap(leaves))
  return [...leaves(manifest.exports), ...leaves(manifest.bin ?? {})].filter((file) => !file.includes('*'))
}

function pack() {
  const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', folder]
  const cli = process.env.npm_execpath
  const options = { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }
  const result =
    cli === undefined
      ? spawnSync('npm', args, { ...options, shell: process.platform === 'win32' })
      : spawnSync(process.execPath, [cli, ...args], options)
  if (result.status !== 0) return undefined
  const [{ filename, size, unpackedSize, entryCount }] = JSON.parse(result.stdout)
  process.stdout.write(`${filename}: ${entryCount} files, ${kilobytes(size)} packed, ${kilobytes(unpackedSize)} unpacked\n`)
  return join(folder, filename)
}

/** Node always sets the `node` condition; the door for pages must still be importable here, so that one clear error can be given. */
function importDoors(tarball) {
  const modules = join(folder, 'node_modules')
  const own = join(modules, manifest.name)
  mkdirSync(own, { recursive: true })
  if (spawnSync('tar', ['-xzf', tarball, '-C', own, '--strip-components=1'], { stdio: 'inherit' }).status !== 0) return false
  for (const name of Object.keys(manifest.dependencies ?? {})) {
    mkdirSync(dirname(join(modules, name)), { recursive: true })
    symlinkSync(join(root, 'node_modules', name), join(modules, name), 'junction')
  }
  const doors = Object.keys(manifest.exports)
    .filter((door) => !door.includes('*') && !door.endsWith('.json'))
    .map((door) => manifest.name + door.slice(1))
  const script = doors
    .map((door) => `console.log(${JSON.stringify(door)}, Object.keys(await import(${JSON.stringify(door)})).length, 'names')`)
    .join('\n')
  return runScript('import-doors.mjs', script)
}

/** Runs a script beside the unpacked package. */
function runScript(name, script) {
  const file = join(folder, name)
  writeFileSync(file, script)
  return node([file], folder)
}

/** Follows the chunks of a door that must run anywhere. */
function reachesNoNodeModule(door) {
  const files = new Set([door])
  for (const file of files) {
    const text = readFileSync(join(root, 'dist', file), 'utf8')
    for (const [, specifier] of text.matchAll(/\b(?:from|import)\s*\(?\s*["']([^"']+)["']/g)) {
      if (specifier.startsWith('./')) files.add(specifier.slice(2))
      if (!specifier.startsWith('node:')) continue
      process.stdout.write(`dist/${door} reaches ${specifier} through dist/${file}\n`)
      return false
    }
  }
  return true
}

function program(packageName, name) {
  const path = join(root, 'node_modules', packageName)
  return join(path, require(join(path, 'package.json')).bin[name])
}

function node(args, cwd = root) {
  return spawnSync(process.execPath, args, { cwd, stdio: 'inherit', timeout: 120_000 }).status === 0
}

/** For a program that fills pages with what is right: its output is shown when it fails. */
function quietNode(args) {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' })
  if (status !== 0) process.stdout.write(`${stdout}${stderr}`)
  return status === 0
}

function fail(what) {
  process.stdout.write(`package: ${what} FAILED\n`)
  return false
}

function kilobytes(bytes) {
  return `${(bytes / 1000).toFixed(1)} kB`
}
