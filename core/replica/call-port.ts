/** One end of a channel that carries frames. Messages arrive in order; what is posted after `close` is dropped. */
export interface CallPort {
  /** Sends one message. Throws what structured clone throws; nothing was sent then. */
  post(message: readonly unknown[], transfer?: readonly object[]): void
  /** Sets the one listener; messages that came before wait for it. */
  listen(listener: (message: readonly unknown[]) => void): void
  /** The next message that waits, before the event loop would bring it. Only where the platform can (Node). */
  readonly poll?: (() => readonly unknown[] | undefined) | undefined
  close(): void
}
