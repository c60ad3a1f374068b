/** What travels to a replica and back. */
export { type EncodedAnswer, encodeAnswer, responseOf, streamedResponse } from './answer-codec.ts'
export { argsOfUrl, asBytes, bytesOf, textOf } from './body.ts'
export {
  AnswerKind,
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
} from './frames.ts'
export { HttpRequest, type RawBody } from './http-request.ts'
export { JSON_LIMITS, type JsonLimits, parseGuardedJson } from './json-guard.ts'
export { flatHeaders, isResponse, LightResponse } from './light-response.ts'
export { packHandleMeta, ServeRequest, unpackHandleMeta } from './serve-request.ts'
export type { StreamAnswer } from './stream-answer.ts'
export { isPlainObject, isPrimitive, movableBuffers, notSerializable, roughSizeBytes } from './travel.ts'
