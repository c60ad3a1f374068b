import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, posix } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Folder of the repository, with a slash at its end. */
export const ROOT = fileURLToPath(new URL('../../', import.meta.url))

const SKIPPED_FOLDERS = new Set(['.git', 'node_modules', 'dist', 'coverage'])

/** Paths of all files below a folder of the repository, relative to it, with forward slashes; nothing when the folder is not there. */
export function filesBelow(folder: string, ending = ''): string[] {
  if (!existsSync(join(ROOT, folder))) return []
  return readdirSync(join(ROOT, folder), { withFileTypes: true })
    .flatMap((entry) => {
      const path = posix.join(folder, entry.name)
      if (entry.isDirectory()) return SKIPPED_FOLDERS.has(entry.name) ? [] : filesBelow(path, ending)
      return entry.isFile() && entry.name.endsWith(ending) ? [path] : []
    })
    .sort()
}

export function readText(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8')
}

export function isThere(path: string): boolean {
  return existsSync(join(ROOT, path))
}

/** A source without its comments; texts in quotes are kept. */
export function withoutComments(source: string): string {
  return source.replace(
    /('(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`)|\/\*[\s\S]*?\*\/|\/\/[^\n]*/g,
    (_, text?: string) => text ?? '',
  )
}

/** What a source imports or re-exports, by specifier. */
export function importsOf(source: string): string[] {
  const pattern = /(?:^|[\s;}])(?:(?:import|export)\s[^'"`;()]*?\bfrom\s*|import\s*)'([^']+)'|\bimport\(\s*'([^']+)'/g
  return [...withoutComments(source).matchAll(pattern)].map((match) => match[1] ?? match[2] ?? '')
}
