import type { ConnectionEncrypter } from '@libp2p/interface'

/** Bytes as they have come, in pieces. */
interface Pieces {
  readonly byteLength: number
  get(index: number): number
}

/** What of an encrypted connection of @chainsafe/libp2p-noise 17 is relied on here. */
interface DecodingConnection {
  readonly decoder?: { lengthDecoder?: (data: Pieces) => number }
}

/**
 * Lets the connections of an encrypter see the end of what has come without an exception. By itself the decoder throws and catches one after every message,
 * with a stack trace that costs more than the cipher. Encrypters of another kind are left as they are.
 */
export function quietDecoder<T extends ConnectionEncrypter>(encrypter: T): T {
  for (const secure of ['secureInbound', 'secureOutbound'] as const) {
    const original = encrypter[secure].bind(encrypter) as ConnectionEncrypter[typeof secure]
    encrypter[secure] = (async (...given) => {
      const secured = await original(...given)
      const { decoder } = secured.connection as DecodingConnection
      if (decoder?.lengthDecoder !== undefined) decoder.lengthDecoder = lengthOf
      return secured
    }) as ConnectionEncrypter[typeof secure]
  }
  return encrypter
}

/** Two bytes, the greater first. Where they are not there, a length that is not there either: the decoder waits for more. */
const lengthOf = (data: Pieces): number => (data.byteLength < 2 ? 1 : data.get(0) * 256 + data.get(1))
