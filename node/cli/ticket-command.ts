import type { MeshRole, TicketOptions } from '../../core/mesh/index.ts'
import { attachToInstance } from '../instance-socket-client.ts'
import { printLine } from './output.ts'

export interface TicketCommandOptions {
  readonly name: string
  readonly roles?: readonly MeshRole[]
  readonly ttl?: number
  readonly uses?: number
  readonly untrusted?: boolean
  readonly json: boolean
}

/** `shoal ticket`: the ticket alone on standard output, so that it can be piped. */
export async function ticketCommand({ name, roles, ttl, uses, untrusted, json }: TicketCommandOptions): Promise<void> {
  const instance = await attachToInstance(name)
  try {
    const options: TicketOptions = {
      ...(roles !== undefined && { roles }),
      ...(ttl !== undefined && { ttlMs: ttl }),
      ...(uses !== undefined && { uses }),
      ...(untrusted === true && { trusted: false }),
    }
    const ticket = await instance.createTicket(options)
    await printLine(json ? JSON.stringify({ ticket }) : ticket)
  } finally {
    await instance.close()
  }
}
