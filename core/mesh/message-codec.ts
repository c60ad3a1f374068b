/** Turns messages into bytes and back. The seam between the frames of the mesh and a codec. */
export interface MessageCodec {
  /** Throws `ERR_NOT_SERIALIZABLE` for what cannot travel. The bytes are the caller's. */
  encode(message: readonly unknown[]): Uint8Array
  /**
   * Throws `ERR_BAD_REQUEST` for bytes that are no message or break a limit; whatever they are, nothing else is thrown. What is returned may look into
   * `bytes` when they are owned, and never does otherwise.
   * @param isOwned true: nobody else holds the buffer
   */
  decode(bytes: Uint8Array, isOwned: boolean): readonly unknown[]
}
