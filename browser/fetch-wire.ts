/** What pages and their Service Worker say to each other. Every message bears the mark, for a page may have others of its own. */

/** From a page to its Service Worker: it holds replicas, for the paths that the worker was told of. */
export interface HereMessage {
  readonly shoal: 'here'
  readonly holder: string
}

/** From the Service Worker to every page, after it has forgotten everything: who holds replicas? Answered on the port with the holder's name. */
export interface WhoMessage {
  readonly shoal: 'who'
}

/** From the Service Worker to a holder, with a port for the answer. */
export interface FetchMessage {
  readonly shoal: 'fetch'
  /** Names the Web Lock of the Service Worker's present life. */
  readonly life: string
  readonly method: string
  readonly url: string
  readonly headers: readonly (readonly [string, string])[]
  readonly body: ArrayBuffer | undefined
}

/** On the port of a request, from the holder. */
export type AnswerMessage =
  | { readonly kind: 'whole'; readonly head: AnswerHead; readonly body: ArrayBuffer | null }
  /** Chunks follow, as many as there is credit for. */
  | { readonly kind: 'head'; readonly head: AnswerHead }
  | { readonly kind: 'chunk'; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly kind: 'end' }
  | { readonly kind: 'broken'; readonly message: string }
  /** The page answers no more; nothing was started. */
  | { readonly kind: 'closed' }

/** On the port of a request, from the Service Worker. */
export type ReaderMessage =
  /** The reader is ready for one more chunk. */
  { readonly kind: 'more' } | { readonly kind: 'cancel' }

export interface AnswerHead {
  readonly status: number
  readonly statusText: string
  readonly headers: readonly (readonly [string, string])[]
}

/** Held by a page for as long as it holds replicas. */
export const holderLock = (holder: string): string => `shoal.holder.${holder}`
/** Held by a Service Worker for one life. */
export const forwarderLock = (life: string): string => `shoal.forwarder.${life}`
