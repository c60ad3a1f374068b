import type { Clock, Stop } from '../../core/base/index.ts'
import { settle } from '../support/fake-clock.ts'

interface Due {
  readonly atMs: number
  readonly order: number
  readonly run: () => void
  isStopped: boolean
}

/** Virtual time of a whole simulation: one heap of events. Of those due at one time, the one that was set first runs first. */
export class SimTime {
  readonly #heap: Due[] = []
  #order = 0
  #nowMs = 0
  events = 0

  nowMs(): number {
    return this.#nowMs
  }

  after(delayMs: number, run: () => void): Stop {
    const due: Due = { atMs: this.#nowMs + Math.max(0, delayMs), order: this.#order++, run, isStopped: false }
    this.#push(due)
    return () => {
      due.isStopped = true
    }
  }

  /** Runs events, and the promise jobs of each before the next, for `ms` or until it is so. @returns whether it became so */
  async run(ms: number, isDone: () => boolean = () => false): Promise<boolean> {
    const endMs = this.#nowMs + ms
    await settle()
    while (!isDone()) {
      const due = this.#heap[0]
      if (due === undefined || due.atMs > endMs) {
        this.#nowMs = endMs
        return isDone()
      }
      this.#pop()
      if (due.isStopped) continue
      this.#nowMs = due.atMs
      this.events++
      due.run()
      await settle()
    }
    return true
  }

  #push(due: Due): void {
    const heap = this.#heap
    let at = heap.length
    heap.push(due)
    while (at > 0) {
      const parent = (at - 1) >> 1
      const above = heap[parent] as Due
      if (!isBefore(due, above)) break
      heap[at] = above
      at = parent
    }
    heap[at] = due
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return
    let at = 0
    for (;;) {
      let child = at * 2 + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Due, heap[child] as Due)) child++
      const below = heap[child] as Due
      if (!isBefore(below, last)) break
      heap[at] = below
      at = child
    }
    heap[at] = last
  }
}

const isBefore = (a: Due, b: Due): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order)

/** One machine: its clock runs at its own rate, it can stop (a long pause) and go on, and it can die with all that it had set. */
export class Machine implements Clock {
  readonly name: string
  readonly #time: SimTime
  readonly #rate: number
  readonly #offsetMs: number
  readonly #onTurn: (machine: Machine) => void
  #life = 1
  #inbox: (() => void)[] | undefined

  /** @param rate seconds of this machine per second of the simulation */
  constructor(name: string, rate: number, offsetMs: number, time: SimTime, onTurn: (machine: Machine) => void) {
    this.name = name
    this.#rate = rate
    this.#offsetMs = offsetMs
    this.#time = time
    this.#onTurn = onTurn
  }

  get isPaused(): boolean {
    return this.#inbox !== undefined
  }

  nowMs(): number {
    return this.#offsetMs + this.#time.nowMs() * this.#rate
  }

  after(delayMs: number, callback: () => void): Stop {
    const life = this.#life
    let isStopped = false
    const stop = this.#time.after(delayMs / this.#rate, () => {
      if (life === this.#life)
        this.turn(() => {
          if (!isStopped) callback()
        })
    })
    return () => {
      isStopped = true
      stop()
    }
  }

  /** Runs something on this machine: now, or when it goes on. */
  turn(work: () => void): void {
    if (this.#inbox !== undefined) {
      this.#inbox.push(work)
      return
    }
    work()
    this.#onTurn(this)
  }

  pause(): void {
    this.#inbox ??= []
  }

  resume(): void {
    const inbox = this.#inbox ?? []
    this.#inbox = undefined
    for (const work of inbox) this.turn(work)
  }

  /** Everything that was set or waits is forgotten. */
  die(): void {
    this.#life++
    this.#inbox = undefined
  }

  /** The same machine after it has started again; this one never does anything any more, whatever is still asked of it. */
  replace(): Machine {
    this.die()
    this.pause()
    const next = new Machine(this.name, this.#rate, this.#offsetMs, this.#time, this.#onTurn)
    next.#life = this.#life
    return next
  }

  /** Changes when it dies. */
  get life(): number {
    return this.#life
  }
}
