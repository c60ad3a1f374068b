import type { Stop } from '../base/index.ts'
import { StreamParts } from '../router/index.ts'

/** Events kept for a reader that falls behind; the oldest go first. */
const MAX_BUFFERED = 1_000

/** Turns a subscription into an async iterator. It ends when the loop is left, or with what came before `end` was called. */
export class EventStream<T> extends StreamParts<T> {
  readonly end: () => void

  constructor(subscribe: (listener: (event: T) => void) => Stop) {
    let events: T[] = []
    let isOver = false
    let wake = (): void => {}
    const stop = subscribe((event) => {
      if (events.push(event) > MAX_BUFFERED) events.shift()
      wake()
    })
    const read = async (): Promise<readonly T[] | undefined> => {
      if (events.length === 0 && !isOver) {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
      const taken = events
      events = []
      return taken.length > 0 ? taken : undefined
    }
    const end = (): void => {
      isOver = true
      stop()
      wake()
    }
    super({ read, cancel: end }, stop)
    this.end = end
  }
}
