#!/usr/bin/env node
/** `shoal`: the command line. From the repository: `node node/cli/main.ts`. */
import { runProgram } from './program.ts'

// A detached instance runs as this program too, so that a list of processes says what it is.
if (process.argv[2] === 'supervise') {
  const { supervise } = await import('../daemon-supervisor.ts')
  supervise()
} else if (process.argv[2] === 'instance') {
  const { serveDaemon } = await import('../daemon-entry.ts')
  serveDaemon()
} else {
  process.exitCode = await runProgram(process.argv)
}
