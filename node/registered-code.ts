import { type BackendTarget, RegisteredCode } from '../core/api/index.ts'
import { callerFile } from './evaluate-source.ts'
import { toPortableCode } from './node-platform.ts'

/** Of this process. */
export const REGISTERED: RegisteredCode = new RegisteredCode()

/**
 * Gives the code of a backend on this machine, for `join(ticket, { code: 'named' })`: such a peer takes no code from others and runs what was registered
 * before it joined. Targets are those of `createBackend`.
 */
export function register(tag: string, target: BackendTarget): void {
  REGISTERED.add(tag, target, () => toPortableCode(tag, target, callerFile(register)))
}
