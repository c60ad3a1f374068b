import { Packr } from 'msgpackr'
import { isServeError, ServeError } from '../../base/index.ts'
import type { MessageCodec } from '../../mesh/index.ts'
import { isPrimitive } from '../../request/index.ts'
import { bad, checkMsgpack, type MsgpackLimits } from './check-msgpack.ts'
import { MAX_DEPTH, needsMarks, withMarks, withoutMarks } from './out-of-band.ts'

/** First byte of a message: plain MessagePack follows. */
const PLAIN = 0
/** First byte of a message: the head of sections follows, then MessagePack with marks, then the sections. */
const SECTIONED = 1

/** Bytes before the lengths of the sections: the first byte, a spare one, their count, the length of the MessagePack part. */
const HEAD_BYTES = 8

const LIMITS: MsgpackLimits = Object.freeze({ maxDepth: 2 * MAX_DEPTH + 8, maxValues: 4_000_000 })
const MAX_SECTIONS = 10_000

/** Tells msgpackr to leave one byte free before what it writes; its own flag for that. */
const RESERVE_ONE = 2048 | 1

/**
 * MessagePack with the types of structured clone, and the bytes of typed arrays behind it, each section at a multiple of 8, so that a large
 * one is looked at and not decoded. `docs/reference/wire.md` has the form.
 */
export function msgpackCodec(): MessageCodec {
  // Without records: they would be read by functions built at run time, which pages under a strict policy forbid.
  const packr = new Packr({ moreTypes: true, useRecords: false, mapsAsObjects: true, useToJSON: false } as never)
  return {
    encode(message) {
      try {
        if (message.every(isPrimitive) || !needsMarks(message)) return pack(packr, message, PLAIN)
        const sections: Uint8Array[] = []
        const marked = withMarks(message, sections)
        return join(packr.pack(marked), sections)
      } catch (cause) {
        if (isServeError(cause)) throw cause
        throw new ServeError('ERR_NOT_SERIALIZABLE', `a value cannot travel to another peer: ${(cause as Error).message}`, { cause })
      }
    },
    decode(bytes, isOwned) {
      try {
        const message = bytes[0] === SECTIONED ? unpackSectioned(packr, bytes, isOwned) : unpackPlain(packr, bytes)
        if (!Array.isArray(message)) throw bad('it is no list')
        return message
      } catch (cause) {
        if (isServeError(cause)) throw cause
        throw bad((cause as Error).message, cause)
      }
    },
  }
}

function pack(packr: Packr, message: readonly unknown[], form: number): Uint8Array {
  // msgpackr grows its own buffer from one message to the next and never writes over what it has given out.
  const bytes: Uint8Array = packr.pack(message, RESERVE_ONE)
  bytes[0] = form
  return bytes
}

function unpackPlain(packr: Packr, bytes: Uint8Array): unknown {
  if (bytes[0] !== PLAIN) throw bad(`form ${String(bytes[0])} is not known`)
  const body = bytes.subarray(1)
  checkMsgpack(body, LIMITS)
  return packr.unpack(body)
}

function join(body: Uint8Array, sections: readonly Uint8Array[]): Uint8Array {
  if (sections.length > MAX_SECTIONS) {
    throw new ServeError('ERR_NOT_SERIALIZABLE', `a message holds ${sections.length} typed arrays, the limit is ${MAX_SECTIONS}`)
  }
  let end = HEAD_BYTES + 4 * sections.length + body.byteLength
  const starts = sections.map((section) => {
    const start = aligned(end)
    end = start + section.byteLength
    return start
  })
  const bytes = new Uint8Array(end)
  const view = new DataView(bytes.buffer)
  bytes[0] = SECTIONED
  view.setUint16(2, sections.length)
  view.setUint32(4, body.byteLength)
  sections.forEach((section, i) => {
    view.setUint32(HEAD_BYTES + 4 * i, section.byteLength)
    bytes.set(section, starts[i] ?? 0)
  })
  bytes.set(body, HEAD_BYTES + 4 * sections.length)
  return bytes
}

function unpackSectioned(packr: Packr, given: Uint8Array, isOwned: boolean): unknown {
  if (given.byteLength < HEAD_BYTES) throw bad('the head is cut off')
  // Views need their place at a multiple of 8, and a buffer that nobody writes to.
  const bytes = isOwned && given.byteOffset % 8 === 0 ? given : given.slice()
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const count = view.getUint16(2)
  const bodyStart = HEAD_BYTES + 4 * count
  const bodyEnd = bodyStart + view.getUint32(4)
  if (count > MAX_SECTIONS || bodyEnd > bytes.byteLength) throw bad(`the head tells of ${bodyEnd} bytes, there are ${bytes.byteLength}`)
  const sections: Uint8Array[] = []
  let end = bodyEnd
  for (let i = 0; i < count; i++) {
    const start = aligned(end)
    end = start + view.getUint32(HEAD_BYTES + 4 * i)
    if (end > bytes.byteLength) throw bad(`section ${i} ends at ${end}, there are ${bytes.byteLength} bytes`)
    sections.push(bytes.subarray(start, end))
  }
  if (end !== bytes.byteLength) throw bad(`${bytes.byteLength - end} bytes follow the sections`)
  const body = bytes.subarray(bodyStart, bodyEnd)
  checkMsgpack(body, LIMITS)
  return withoutMarks(packr.unpack(body), sections)
}

const aligned = (offset: number): number => (offset + 7) & ~7
