/** Values on the wire. */
export { checkMsgpack, type MsgpackLimits } from './check-msgpack.ts'
export { msgpackCodec } from './msgpack-codec.ts'
