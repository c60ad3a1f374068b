/** What travels to a replica and back. */
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
