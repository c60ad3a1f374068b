import type { Stop } from './clock.ts'

/** Tells every listener of an event, in the order they subscribed. A listener that throws does not keep the others from hearing. */
export class Topic<T> {
  readonly #listeners = new Set<(event: T) => void>()

  /** Subscribes; the function returned unsubscribes. */
  on(listener: (event: T) => void): Stop {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Tells the listeners of this moment; one that is added meanwhile hears only the next event. */
  emit(event: T): void {
    for (const listener of [...this.#listeners]) {
      try {
        listener(event)
      } catch {
        // The publisher must not fail because of who listens.
      }
    }
  }

  get size(): number {
    return this.#listeners.size
  }
}
