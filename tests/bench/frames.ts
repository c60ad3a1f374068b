/** Length-prefixed frames by hand, for the contenders that only have bytes: four bytes of length, then the message. */

/** Cuts a flow of bytes into messages. A message is a view, valid until the call returns. */
export class FrameSplitter {
  readonly #onMessage: (message: Uint8Array) => void
  #rest: Uint8Array = new Uint8Array(0)

  constructor(onMessage: (message: Uint8Array) => void) {
    this.#onMessage = onMessage
  }

  push(chunk: Uint8Array): void {
    const bytes = this.#rest.byteLength === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    let at = 0
    while (at + 4 <= bytes.byteLength) {
      const end = at + 4 + view.getUint32(at)
      if (end > bytes.byteLength) break
      this.#onMessage(bytes.subarray(at + 4, end))
      at = end
    }
    this.#rest = bytes.subarray(at)
  }
}

export function frameOf(message: Uint8Array): Uint8Array {
  const frame = Buffer.allocUnsafe(4 + message.byteLength)
  frame.writeUInt32BE(message.byteLength)
  frame.set(message, 4)
  return frame
}

/** Sends the frames of a turn in one write. */
export class FrameGatherer {
  readonly #write: (bytes: Uint8Array) => void
  #frames: Uint8Array[] = []

  constructor(write: (bytes: Uint8Array) => void) {
    this.#write = write
  }

  add(message: Uint8Array): void {
    if (this.#frames.length === 0) setImmediate(() => this.#flush())
    this.#frames.push(frameOf(message))
  }

  #flush(): void {
    const frames = this.#frames
    this.#frames = []
    this.#write(Buffer.concat(frames))
  }
}

/** Numbers calls and hands each answer to the one who waits for it. */
export class Correlator {
  readonly #waiting = new Map<number, (answer: unknown) => void>()
  #lastId = 0

  call(send: (id: number) => void): Promise<unknown> {
    return new Promise((resolve) => {
      const id = ++this.#lastId
      this.#waiting.set(id, resolve)
      send(id)
    })
  }

  settle(id: number, answer: unknown): void {
    this.#waiting.get(id)?.(answer)
    this.#waiting.delete(id)
  }
}
