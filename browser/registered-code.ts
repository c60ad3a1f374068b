import { type BackendTarget, RegisteredCode } from '../core/api/index.ts'
import { toPortableCode } from './browser-platform.ts'
import { callerUrl } from './caller-url.ts'

/** Of this page. */
export const REGISTERED: RegisteredCode = /* @__PURE__ */ new RegisteredCode()

/**
 * Gives the code of a backend in this page, for `join(ticket, { code: 'named' })`: such a peer takes no code from others and runs what was registered
 * before it joined. Targets are those of `createBackend`.
 */
export function register(tag: string, target: BackendTarget): void {
  REGISTERED.add(tag, target, () => toPortableCode(tag, target, callerUrl(register)))
}
