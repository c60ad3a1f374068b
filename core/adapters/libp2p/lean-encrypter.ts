import type { ConnectionEncrypter } from '@libp2p/interface'

/** Longest run of encrypted bytes that is copied into one piece before it is written. */
const ONE_PIECE_BYTES = 262_144

/** Bytes in pieces. */
interface Pieces {
  readonly byteLength: number
  get(index: number): number
  /** All of it in one piece. */
  subarray(): Uint8Array
}

/** What of an encrypted connection of @chainsafe/libp2p-noise 17 is relied on here. */
interface NoiseConnection {
  readonly decoder: { lengthDecoder: (data: Pieces) => number }
  encrypt(bytes: Pieces | Uint8Array): Pieces | Uint8Array
}

/**
 * Spares the connections of an encrypter what costs more than the cipher when messages are small. Its decoder throws and catches an exception after every
 * message, stack trace and all. And it sends the two bytes of a length apart from what they are the length of, which is one write and one packet more.
 * Encrypters of another kind are left as they are.
 */
export function leanEncrypter<T extends ConnectionEncrypter>(encrypter: T): T {
  for (const secure of ['secureInbound', 'secureOutbound'] as const) {
    const original = encrypter[secure].bind(encrypter) as ConnectionEncrypter[typeof secure]
    encrypter[secure] = (async (...given) => {
      const secured = await original(...given)
      makeLean(secured.connection as Partial<NoiseConnection>)
      return secured
    }) as ConnectionEncrypter[typeof secure]
  }
  return encrypter
}

function makeLean(connection: Partial<NoiseConnection>): void {
  if (typeof connection.decoder?.lengthDecoder === 'function') connection.decoder.lengthDecoder = lengthOf
  const encrypt = connection.encrypt?.bind(connection)
  if (encrypt !== undefined) connection.encrypt = (bytes) => inOnePiece(encrypt(bytes))
}

/** Two bytes, the greater first. Where they are not there, a length that is not there either: the decoder waits for more. */
const lengthOf = (data: Pieces): number => (data.byteLength < 2 ? 1 : data.get(0) * 256 + data.get(1))

const inOnePiece = (bytes: Pieces | Uint8Array): Pieces | Uint8Array => (bytes.byteLength <= ONE_PIECE_BYTES ? bytes.subarray() : bytes)
