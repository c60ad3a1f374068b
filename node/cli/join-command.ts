import { createInterface } from 'node:readline/promises'
import { text } from 'node:stream/consumers'
import { pino } from 'pino'
import { peekClaims, verifySigned } from '../../core/adapters/tickets/index.ts'
import type { Client } from '../../core/api/index.ts'
import { type Logger, ServeError } from '../../core/base/index.ts'
import { type MeshRole, readTicket, type TicketClaims } from '../../core/mesh/index.ts'
import { join } from '../index.ts'
import { resolveMeshOptions } from '../mesh-hub.ts'
import { bold, dim, printLine } from './output.ts'
import { whenAskedToStop } from './stop-signals.ts'

/** Where a ticket is read that no argument names. */
const TICKET_VARIABLE = 'SHOAL_TICKET'

export interface JoinCommandOptions {
  readonly http?: number | false
  readonly name?: string
  readonly roles?: readonly MeshRole[]
  readonly mesh?: true | 'lan'
  readonly storage?: string
  readonly yes: boolean
  readonly json: boolean
}

/** `shoal join`: a peer in this process until a signal, which hands its replicas over and leaves. Gives the exit code. */
export async function joinCommand(given: string | undefined, options: JoinCommandOptions): Promise<number> {
  const { http, name, roles, mesh, storage, json } = options
  const ticket = await ticketOf(given)
  const claims = await readTicket(ticket, verifySigned, peekClaims)
  if (!(await isWanted(claims, options))) return 1
  const whenAsked = whenAskedToStop()
  const joining = join(ticket, {
    ...(name !== undefined && { name }),
    ...(roles !== undefined && { roles }),
    ...(http !== undefined && { http: http === false ? false : { port: http } }),
    ...(storage !== undefined && { storage }),
    ...(mesh !== undefined && { mesh: { listen: resolveMeshOptions(mesh).listen } }),
    logger: pino({ name: 'shoal', level: 'warn' }, pino.destination({ fd: 2, sync: true })) as Logger,
  })
  // A signal while it still dials ends it: there is nothing to hand over.
  const client = await Promise.race([joining, whenAsked])
  if (client === undefined) {
    joining.then((late) => late.close()).catch(() => undefined)
    return 0
  }
  try {
    await announce(client, claims, options)
    const code = await Promise.race([whenAsked, whenExpelled(client)])
    if (code !== undefined)
      throw new ServeError('ERR_FORBIDDEN', `this peer is not welcome any more (${code}); join again with a new ticket`)
    if (!json && process.stdout.isTTY) await printLine(dim('handing replicas over and leaving; the same again stops at once'))
    return 0
  } finally {
    await client.close()
  }
}

/** From standard input, the environment or, where every user of the machine can read it in the list of processes, the arguments. */
async function ticketOf(given: string | undefined): Promise<string> {
  if (given === '-') {
    const read = (process.stdin.isTTY ? await ask('ticket: ') : await text(process.stdin)).trim()
    if (read === '')
      throw new ServeError('ERR_TICKET_INVALID', 'there is no ticket on standard input; what should have printed one may have failed')
    return read
  }
  if (given !== undefined) {
    process.stderr.write(`warning: a ticket among the arguments can be read by every user of this machine; use - or ${TICKET_VARIABLE}\n`)
    return given.trim()
  }
  const ticket = process.env[TICKET_VARIABLE]?.trim() ?? ''
  // Replicas see no environment, but programs that are started from here would.
  delete process.env[TICKET_VARIABLE]
  if (ticket === '') throw new ServeError('ERR_TICKET_INVALID', `there is no ticket: give - and pipe it, or set ${TICKET_VARIABLE}`)
  return ticket
}

/** Says what joining means, and asks where there is someone to answer. */
async function isWanted(claims: TicketClaims, options: JoinCommandOptions): Promise<boolean> {
  const { yes } = options
  const roles = rolesOf(claims, options)
  const lines = [
    `${bold('mesh')}   ${claims.mesh}`,
    `${bold('at')}     ${claims.addresses.join('\n       ')}`,
    `${bold('roles')}  ${roles.join(', ')}`,
    roles.includes('replica')
      ? 'Whoever runs that instance chooses the code that runs here, with the rights of this user: files and network included.'
      : 'No code of that instance runs here.',
    ...(roles.includes('controller')
      ? ['This node gets the key of the mesh, keeps its state, and leads it when the controller is gone.']
      : []),
  ]
  process.stderr.write(`${lines.join('\n')}\n`)
  if (yes || !process.stdin.isTTY || !process.stderr.isTTY) return true
  return /^y(es)?$/i.test((await ask('join? [y/N] ')).trim())
}

/** A node is a controller only when it is given a folder for that. */
function rolesOf(claims: TicketClaims, { roles = claims.roles, storage }: JoinCommandOptions): readonly MeshRole[] {
  return storage === undefined ? roles.filter((role) => role !== 'controller') : roles
}

async function ask(question: string): Promise<string> {
  const lines = createInterface({ input: process.stdin, output: process.stderr })
  try {
    return await lines.question(question)
  } finally {
    lines.close()
  }
}

async function announce(client: Client, claims: TicketClaims, options: JoinCommandOptions): Promise<void> {
  const { name, json } = options
  const roles = rolesOf(claims, options)
  const url = client.http?.url
  if (json) return printLine(JSON.stringify({ name, mesh: claims.mesh, roles, url, pid: process.pid }))
  await printLine(`joined as ${roles.join(', ')}${url === undefined ? '' : `; gateway at ${url}`}`)
}

/** Resolves with the code when the controller will have this peer no more. */
async function whenExpelled(client: Client): Promise<string | undefined> {
  for await (const event of client.watch()) if (event.kind === 'peer' && event.state === 'expelled') return event.code
  return undefined
}
