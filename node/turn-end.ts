/**
 * Gathers what is ready in the turn of the event loop in which it was asked for, and runs it at the end of that turn. Answers that leave one after the
 * other wake the process at the other side once; each wake between two requests costs as much as parsing one. What is ready later is not held up.
 */
export class TurnEnd {
  #turn = 0
  #armed = false
  #waiting: (() => void)[] = []

  /** What runs work at the end of the turn that runs now, and at once when that is over. */
  here(): (work: () => void) => void {
    if (!this.#armed) {
      this.#armed = true
      setImmediate(this.run)
    }
    const turn = this.#turn
    return (work) => {
      if (turn === this.#turn) this.#waiting.push(work)
      else work()
    }
  }

  /** Ends the turn now. */
  readonly run = (): void => {
    this.#armed = false
    this.#turn++
    const waiting = this.#waiting
    this.#waiting = []
    for (const work of waiting) work()
  }
}
