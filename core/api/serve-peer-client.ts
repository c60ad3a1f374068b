import { ServeError, type Turns } from '../base/index.ts'
import { type Member, type MemberAccess, requireRole, type VirtualPort } from '../mesh/index.ts'
import type { CallPort } from '../replica/index.ts'
import type { LocalInstance } from './local-instance.ts'
import { answersFor } from './member-answers.ts'
import { serveInstance } from './serve-instance.ts'

/** What a member may ask without the role `controller`. */
const QUESTIONS: ReadonlySet<string> = new Set(['greet', 'hasBackend', 'getBackendConfig', 'listBackends', 'listEndpoints', 'status'])

/**
 * Serves the client of a peer on the controller: questions for any member, as far as its roles go, and edits for those whose ticket grants `controller`.
 */
export function servePeerClient(instance: LocalInstance, port: VirtualPort, member: Member, access: MemberAccess, turns: Turns): void {
  const whenGone = new Promise<string>((resolve) => port.onClosed(resolve))
  serveInstance(
    {
      instance,
      link: { calls: NO_CALLS, control: port, whenGone, hold() {}, close: () => port.close() },
      processes: [],
      answers: member.roles.includes('controller') ? undefined : answersFor(instance, member, access.hosted),
      shutdown: (timeoutMs) => instance.shutdown(timeoutMs),
      allow(method) {
        if (QUESTIONS.has(method)) return
        if (method === 'fetch' || method === 'readBody') {
          throw new ServeError('ERR_UNSUPPORTED', 'a peer answers requests itself, from its own table')
        }
        try {
          requireRole(member, 'controller', method)
        } catch (error) {
          access.strike((error as Error).message)
          throw error
        }
      },
    },
    turns,
  )
}

const NO_CALLS: CallPort = Object.freeze({ post() {}, listen() {}, close() {} })
