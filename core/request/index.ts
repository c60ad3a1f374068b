/** What travels to a replica and back. */
export { type EncodedAnswer, encodeAnswer } from './answer-codec.ts'
export { argsOfUrl } from './body.ts'
export { asBytes, bytesOf, textOf } from './bytes.ts'
export { findHeader, isNamed } from './find-header.ts'
export { flatHeaders } from './flat-headers.ts'
export {
  AnswerKind,
  BODY,
  BODY_END,
  CANCEL,
  type CallMeta,
  CREDIT,
  type HandleMeta,
  type ResponseHead,
  SLOTS_PER_ANSWER,
  SLOTS_PER_CALL,
  STREAMED,
} from './frames.ts'
export { packHandleMeta, unpackHandleMeta } from './handle-meta.ts'
export { hashPayload } from './hash-payload.ts'
export { decodeHttpHead, encodeHttpHead, type HttpHead } from './http-head.ts'
export { HttpRequest, type RawBody } from './http-request.ts'
export { parseGuardedJson } from './json-guard.ts'
export { JSON_LIMITS, type JsonLimits } from './json-limits.ts'
export { isResponse, LightResponse } from './light-response.ts'
export { movableBuffers } from './movable-buffers.ts'
export { responseOf, streamedResponse } from './response-of.ts'
export { ServeRequest } from './serve-request.ts'
export type { StreamAnswer } from './stream-answer.ts'
export { BODY_WINDOW_BYTES, StreamedBody } from './streamed-body.ts'
export { isPlainObject, isPrimitive, notSerializable, roughSizeBytes } from './travel.ts'
