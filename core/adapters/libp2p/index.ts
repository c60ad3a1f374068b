/** libp2p under the mesh. */

export { Anteroom } from './anteroom.ts'
export { leanEncrypter } from './lean-encrypter.ts'
export { Libp2pTransport, type Libp2pTransportOptions, MESH_PROTOCOL } from './libp2p-transport.ts'
