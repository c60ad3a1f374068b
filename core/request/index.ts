/** What travels to a replica and back. */
export { type EncodedAnswer, encodeAnswer } from './answer-codec.ts'
export { argsOfUrl, asBytes, bytesOf, textOf } from './body.ts'
export { flatHeaders } from './flat-headers.ts'
export {
  AnswerKind,
  BODY,
  BODY_END,
  CANCEL,
  type CallMeta,
  CREDIT,
  decodeHttpHead,
  encodeHttpHead,
  type HandleMeta,
  type HttpHead,
  type ResponseHead,
  SLOTS_PER_ANSWER,
  SLOTS_PER_CALL,
  STREAMED,
} from './frames.ts'
export { packHandleMeta, unpackHandleMeta } from './handle-meta.ts'
export { hashPayload } from './hash-payload.ts'
export { HttpRequest, type RawBody } from './http-request.ts'
export { parseGuardedJson } from './json-guard.ts'
export { JSON_LIMITS, type JsonLimits } from './json-limits.ts'
export { isResponse, LightResponse } from './light-response.ts'
export { responseOf, streamedResponse } from './response-of.ts'
export { ServeRequest } from './serve-request.ts'
export type { StreamAnswer } from './stream-answer.ts'
export { BODY_WINDOW_BYTES, StreamedBody } from './streamed-body.ts'
export { isPlainObject, isPrimitive, movableBuffers, notSerializable, roughSizeBytes } from './travel.ts'
