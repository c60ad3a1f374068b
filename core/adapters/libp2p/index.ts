/** libp2p under the mesh. */
export { Libp2pTransport, MESH_PROTOCOL } from './libp2p-transport.ts'
