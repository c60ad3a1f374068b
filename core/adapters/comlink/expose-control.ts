import { type Endpoint, expose } from 'comlink'
import { toErrorEnvelope } from '../../base/index.ts'
import type { ControlTarget, Reply } from './control-link.ts'

/** The methods that may be called from the other side, and nothing else of the object. */
const METHODS = ['start', 'configure', 'reconfigure', 'checkHealth', 'ping', 'usage'] as const

/** Offers a replica's control on its thread's channel. */
export function exposeControl(target: ControlTarget, endpoint: Endpoint): void {
  const wire: Record<string, (...args: unknown[]) => Promise<Reply<unknown>>> = {}
  for (const name of METHODS) {
    const method = target[name] as (...args: unknown[]) => Promise<unknown>
    wire[name] = async (...args) => {
      try {
        return { value: await method.apply(target, args) }
      } catch (error) {
        return { error: toErrorEnvelope(error) }
      }
    }
  }
  expose(wire, endpoint)
}
