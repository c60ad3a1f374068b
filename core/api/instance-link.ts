import type { CallPort } from '../replica/index.ts'

/** A channel between an instance and a client that lives elsewhere, seen from either end. The platform brings it. */
export interface InstanceLink {
  /** Frames of calls, the same as between a replica and its host. */
  readonly calls: CallPort
  /** Everything else; see `ControlChannel`. */
  readonly control: CallPort
  /** Resolves once when the other end is out of reach, with one clause for messages. Also after `close`. */
  readonly whenGone: Promise<string>
  /** True while something is open that the process shall stay alive for. */
  hold(isBusy: boolean): void
  /** Ends the channel once what was posted has left. */
  close(): void
}
