import type { ServeError } from '../base/index.ts'
import type { CallPort } from '../replica/index.ts'

/** Requests by name, and news without an answer, between two peers. */
export interface PeerControl {
  /** Rejects with what the other side threw, or with what `end` was given. */
  request(method: string, ...args: readonly unknown[]): Promise<unknown>
  tell(topic: string, value: unknown): void
  /** The other side is gone: what waits fails, and so does what is asked later. */
  end(toError: () => ServeError): void
}

/** What one side does for the other. */
export interface PeerControlHandlers {
  readonly requests: ReadonlyMap<string, (...args: never[]) => unknown>
  readonly told: ReadonlyMap<string, (value: never) => void>
}

/** Puts control on a port; the floor above brings the class. */
export type OpenPeerControl = (port: CallPort, handlers: PeerControlHandlers) => PeerControl

/** Names of ports. */
export const CONTROL_PORT = 'control'
/** A client's edits and questions. */
export const INSTANCE_PORT = 'instance'
/** Calls for one backend; its tag follows. */
export const BACKEND_PORT = 'backend:'
