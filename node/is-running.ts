import { readFileSync } from 'node:fs'

/** True while a process of this number is there, whoever owns it. One that has ended and waits for its parent to notice is not. */
export function isRunning(pid: number): boolean {
  if (!(pid > 0)) return false
  try {
    process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
  return statOf(pid)[0] !== 'Z'
}

/** When a process started, in ticks since the machine did; '' where that cannot be known. */
export function startOf(pid: number): string {
  return statOf(pid)[19] ?? ''
}

/** What Linux tells of a process, from the third field of `/proc/<pid>/stat` on: the second is a name that may hold spaces. Nothing elsewhere. */
function statOf(pid: number): readonly string[] {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  } catch {
    return []
  }
}
