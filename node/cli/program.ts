import { Command, CommanderError, InvalidArgumentError } from 'commander'
import { isMeshRole, MESH_ROLES, type MeshRole } from '../../core/mesh/index.ts'
import { describeError } from './output.ts'

const DEFAULT_NAME = 'default'

interface GlobalOptions {
  readonly json: boolean
}

/** Runs one command line; a command's code is loaded when it is asked for. Gives the exit code: 0, 1 failed, 2 usage. Errors are one line on stderr. */
export async function runProgram(argv: readonly string[]): Promise<number> {
  // `shoal status | head` closes our output early, which is no failure of ours.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1))
  let exitCode = 0
  try {
    await buildProgram((code) => {
      exitCode = code
    }).parseAsync([...argv])
    return exitCode
  } catch (error) {
    // commander has said what is wrong with the usage; asking for help is no mistake.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
    process.stderr.write(`${describeError(error)}\n`)
    return 1
  }
}

function buildProgram(setExitCode: (code: number) => void): Command {
  const program = new Command('shoal')
    .description('serves functions, classes and models over HTTP and handles')
    .option('--json', 'print JSON', false)
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'usage: ')) })
    .showHelpAfterError('(shoal --help lists the commands)')
  const named = (command: Command): Command =>
    command.option('--name <name>', 'name of the instance', DEFAULT_NAME).option('--json', 'print JSON', false).exitOverride()
  const at = (command: Command): Command => command.option('--url <url>', 'address of a gateway, for an instance without a socket here')
  const merged = <T>(command: Command): T & GlobalOptions =>
    ({ ...command.opts(), json: command.opts().json || program.opts().json }) as T & GlobalOptions

  named(program.command('run'))
    .description('serve the app of a file from this process until Ctrl+C')
    .argument('<file>', 'module whose default export is a function of a client, or defineApp()')
    .option('--port <port>', 'port of the gateway; 0 takes any free one', toPort)
    .option('--storage <folder>', 'keep the state in this folder')
    .option('--mesh [scope]', 'take peers: on loopback, or with lan on every interface', toMeshScope)
    .action(async (file: string, _options, command: Command) => {
      const { runCommand } = await import('./run-command.ts')
      setExitCode(await runCommand(file, merged(command)))
    })
  named(program.command('start'))
    .description('start an instance in the background')
    .option('--port <port>', 'port of the gateway; 0 takes any free one', toPort)
    .option('--storage <folder>', 'keep the state in this folder')
    .option('--mesh [scope]', 'take peers: on loopback, or with lan on every interface', toMeshScope)
    .action(async (_options, command: Command) => {
      const { startCommand } = await import('./start-command.ts')
      await startCommand(merged(command))
    })
  named(program.command('deploy'))
    .description('put the app of a file on a running instance')
    .argument('<file>', 'module whose default export is defineApp(), or a function of a client')
    .action(async (file: string, _options, command: Command) => {
      const { deployCommand } = await import('./run-command.ts')
      await deployCommand(file, merged(command))
    })
  at(named(program.command('call')))
    .description('call an endpoint and print what it answers')
    .argument('<endpoint>', 'name of the endpoint')
    .argument('[data]', 'JSON, else text; - reads standard input')
    .option('--method <name>', 'method of the backend')
    .option('--timeout-ms <ms>', 'deadline of the call in milliseconds', toMilliseconds)
    .action(async (endpoint: string, data: string | undefined, _options, command: Command) => {
      const { callCommand } = await import('./call-command.ts')
      await callCommand(endpoint, data, merged(command))
    })
  at(named(program.command('status')))
    .description('show what runs')
    .option('--watch', 'again every second', false)
    .action(async (_options, command: Command) => {
      const { statusCommand } = await import('./instance-commands.ts')
      await statusCommand(merged(command))
    })
  named(program.command('shutdown'))
    .description('drain and stop an instance')
    .option('--timeout-ms <ms>', 'longest drain of each backend in milliseconds', toMilliseconds)
    .action(async (_options, command: Command) => {
      const { shutdownCommand } = await import('./instance-commands.ts')
      await shutdownCommand(merged(command))
    })
  named(program.command('ticket'))
    .description('print a ticket with which a peer may join an instance')
    .option('--roles <roles>', 'what the peer may do, by commas (default: replica,caller)', toRoles)
    .option('--ttl <ms>', 'how long it may be redeemed in milliseconds (default: 600000)', toMilliseconds)
    .option('--uses <n>', 'how many peers may join with it (default: 1)', toCount)
    .option('--untrusted', 'for a peer that you do not vouch for: it runs only backends with placement.untrusted')
    .action(async (_options, command: Command) => {
      const { ticketCommand } = await import('./ticket-command.ts')
      await ticketCommand(merged(command))
    })
  program
    .command('join')
    .description('join the instance that issued a ticket, until Ctrl+C')
    .argument('[ticket]', 'the ticket; - reads standard input; without it the environment variable SHOAL_TICKET')
    .option('--http <port>', 'open a gateway too; 0 takes any free port', toPort)
    .option('--no-http', 'open none, even where the instance wants one on every node')
    .option('--name <name>', 'name of this peer in the status (default: host and process id)')
    .option('--roles <roles>', 'fewer roles than the ticket grants, by commas', toRoles)
    .option('--storage <folder>', 'keep the state of the mesh here and stand by, for a ticket that grants the role controller')
    .option('--mesh [scope]', 'where other peers reach this one: on loopback, or with lan on every interface', toMeshScope)
    .option('--yes', 'do not ask', false)
    .option('--json', 'print JSON', false)
    .exitOverride()
    .action(async (ticket: string | undefined, _options, command: Command) => {
      const { joinCommand } = await import('./join-command.ts')
      setExitCode(await joinCommand(ticket, merged(command)))
    })
  return program
}

function toPort(text: string): number {
  const port = Number(text)
  if (/^\d+$/.test(text) && port <= 65_535) return port
  throw new InvalidArgumentError('It must be 0 to 65535.')
}

function toMilliseconds(text: string): number {
  const ms = Number(text)
  if (/^\d+$/.test(text) && Number.isSafeInteger(ms)) return ms
  throw new InvalidArgumentError('It must be a number of milliseconds.')
}

function toCount(text: string): number {
  const count = Number(text)
  if (/^\d+$/.test(text) && Number.isSafeInteger(count) && count > 0) return count
  throw new InvalidArgumentError('It must be 1 or more.')
}

/** `--mesh` takes a word or none, so a file behind it would be taken for one. */
function toMeshScope(text: string): 'lan' {
  if (text === 'lan') return text
  throw new InvalidArgumentError('It must be lan, or be left out; arguments come before --mesh.')
}

function toRoles(text: string): readonly MeshRole[] {
  const roles = text.split(',').map((role) => role.trim())
  if (roles.every(isMeshRole)) return roles
  throw new InvalidArgumentError(`They must be some of ${MESH_ROLES.join(',')}.`)
}
