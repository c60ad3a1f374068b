import type { Turns } from '../base/index.ts'
import type { CallPort } from './call-port.ts'

/** Two ends of a channel inside this thread. Messages are cloned as between threads, so that nothing is shared by accident. */
export function createPortPair(turns: Turns): [CallPort, CallPort] {
  const a = new LocalPort(turns)
  const b = new LocalPort(turns)
  a.connect(b)
  b.connect(a)
  return [a, b]
}

class LocalPort implements CallPort {
  readonly #turns: Turns
  #waiting: (readonly unknown[])[] = []
  #peer: LocalPort | undefined
  #listener: ((message: readonly unknown[]) => void) | undefined
  #scheduled = false
  #closed = false

  constructor(turns: Turns) {
    this.#turns = turns
  }

  connect(peer: LocalPort): void {
    this.#peer = peer
  }

  post(message: readonly unknown[], transfer: readonly object[] = []): void {
    if (this.#closed || this.#peer === undefined || this.#peer.#closed) return
    this.#peer.#receive(hasObjects(message) ? structuredClone(message, { transfer }) : message)
  }

  listen(listener: (message: readonly unknown[]) => void): void {
    this.#listener = listener
    if (this.#waiting.length > 0) this.#schedule()
  }

  close(): void {
    this.#closed = true
    this.#waiting = []
  }

  #receive(message: readonly unknown[]): void {
    this.#waiting.push(message)
    if (this.#listener !== undefined) this.#schedule()
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    this.#turns.soon(this.#deliver)
  }

  readonly #deliver = (): void => {
    this.#scheduled = false
    const messages = this.#waiting
    this.#waiting = []
    for (const message of messages) if (!this.#closed) this.#listener?.(message)
  }
}

function hasObjects(message: readonly unknown[]): boolean {
  for (const slot of message) {
    const type = typeof slot
    if (type === 'object' ? slot !== null : type === 'function' || type === 'symbol') return true
  }
  return false
}
