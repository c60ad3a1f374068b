/** `npm run build`: what is published, into an empty dist: the doors by Vite, their declarations by tsc. */
import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'vite'
import { builds } from '../vite.config.ts'

const root = dirname(dirname(fileURLToPath(import.meta.url)))

rmSync(join(root, 'dist'), { recursive: true, force: true })
const { configs, leftOut } = builds()
for (const config of configs) await build(config)
if (leftOut.length > 0) process.stdout.write(`left out, not written yet: ${leftOut.join(', ')}\n`)

const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
const { status } = spawnSync(process.execPath, [tsc, '-b', 'core', 'core/adapters', 'node', 'browser'], { cwd: root, stdio: 'inherit' })
process.exitCode = status ?? 1
