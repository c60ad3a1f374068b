/** libp2p under the mesh. */
export { Libp2pTransport, type Libp2pTransportOptions, MESH_PROTOCOL } from './libp2p-transport.ts'
export { quietDecoder } from './quiet-decoder.ts'
