import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { build } from 'vite'
import { builds } from '../../../vite.config.ts'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const run = promisify(execFile)

/** A folder in which the package is installed from its tarball, as in a user's project. */
export interface InstalledPackage {
  readonly folder: string
  /** Where the tarball's dist ended up. */
  readonly dist: string
  /** Writes files of the project, paths relative to it. */
  write(files: Readonly<Record<string, string>>): Promise<void>
  remove(): Promise<void>
}

/** Builds apart from the repository's dist, packs, and unpacks into a project; dependencies are linked from the repository. */
export async function installPacked(): Promise<InstalledPackage> {
  const folder = await mkdtemp(join(tmpdir(), 'shoal-e2e-'))
  const source = join(folder, 'source')
  for (const config of builds(join(source, 'dist')).configs) await build({ ...config, logLevel: 'silent' })
  const manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
  await writeFile(join(source, 'package.json'), JSON.stringify({ ...manifest, scripts: {} }))
  await cp(join(root, 'LICENSE'), join(source, 'LICENSE')).catch(() => undefined)
  const cli = process.env.npm_execpath
  const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', folder]
  const options = { cwd: source, shell: cli === undefined && process.platform === 'win32' }
  const { stdout } = await (cli === undefined ? run('npm', args, options) : run(process.execPath, [cli, ...args], options))
  const [{ filename }] = JSON.parse(stdout)
  const own = join(folder, 'node_modules', manifest.name)
  await mkdir(own, { recursive: true })
  await run('tar', ['-xzf', join(folder, filename), '-C', own, '--strip-components=1'])
  for (const name of Object.keys(manifest.dependencies)) {
    await mkdir(dirname(join(folder, 'node_modules', name)), { recursive: true })
    await symlink(join(root, 'node_modules', name), join(folder, 'node_modules', name), 'junction')
  }
  await writeFile(join(folder, 'package.json'), JSON.stringify({ name: 'user', private: true, type: 'module' }))
  return {
    folder,
    dist: join(own, 'dist'),
    async write(files) {
      for (const [path, text] of Object.entries(files)) {
        await mkdir(dirname(join(folder, path)), { recursive: true })
        await writeFile(join(folder, path), text)
      }
    },
    remove: () => rm(folder, { recursive: true, force: true }),
  }
}
