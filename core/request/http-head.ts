/** The parts of an HTTP head. */
export interface HttpHead {
  /** True: the result is rendered as an HTTP answer. False: a Request that was passed to a handle; its result is a value. */
  readonly rendered: boolean
  /** Name of the method of the backend to call; '' is the default one. */
  readonly callMethod: string
  readonly httpMethod: string
  /** Absolute. */
  readonly url: string
  readonly requestId: string
  /** Names and values in turn, each free of line breaks, as they came. */
  readonly rawHeaders: readonly string[]
}

/** One string for a whole head, so that it can share a message with others; split again only when the handler asks. */
export function encodeHttpHead(head: HttpHead): string {
  const fixed = `${head.rendered ? 'H' : 'R'}${head.callMethod}\n${head.httpMethod}\n${head.url}\n${head.requestId}`
  return head.rawHeaders.length === 0 ? fixed : `${fixed}\n${head.rawHeaders.join('\n')}`
}

/** The other way. */
export function decodeHttpHead(text: string): HttpHead {
  const lines = text.split('\n')
  return {
    rendered: text.charCodeAt(0) === 0x48,
    callMethod: (lines[0] ?? '').slice(1),
    httpMethod: lines[1] ?? 'GET',
    url: lines[2] ?? '',
    requestId: lines[3] ?? '',
    rawHeaders: lines.slice(4),
  }
}
