/**
 * The other process of a mesh contender: `mesh-server.ts <kind> <detail> - <where Shoal is from>`, started with an IPC channel. Answers what it is
 * sent. Tells its address once it serves; ends with the process that started it.
 */
import { type AddressInfo, createServer } from 'node:net'
import { FrameGatherer, FrameSplitter, frameOf } from '../frames.ts'
import { ECHO_ONCE_PROTOCOL, ECHO_PROTOCOL, MAX_STREAMS, startLibp2p } from '../mesh-node.ts'
import { type MoleculerModule, type MsgpackrModule, moleculerOptions, peer, type WsModule } from '../peers.ts'
import { startShoal } from '../shoal.ts'
import type { Work } from '../workload.ts'

export type MeshServerKind = 'net' | 'ws' | 'moleculer' | 'libp2p' | 'shoal'

const servers: Readonly<Record<MeshServerKind, (detail: string) => Promise<string>>> = {
  net: async () => {
    const server = createServer((socket) => {
      socket.setNoDelay(true)
      const out = new FrameGatherer((bytes) => socket.write(bytes))
      const splitter = new FrameSplitter((message) => out.add(pack(unpack(message))))
      socket.on('data', (chunk) => splitter.push(chunk))
      socket.on('error', () => {})
    })
    const { pack, unpack } = await peer<MsgpackrModule>('msgpackr')
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return String((server.address() as AddressInfo).port)
  },
  ws: async () => {
    const [{ pack, unpack }, { WebSocketServer }] = await Promise.all([peer<MsgpackrModule>('msgpackr'), peer<WsModule>('ws')])
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: false })
    server.on('connection', (socket) => socket.on('message', (data) => socket.send(pack(unpack(data)))))
    await new Promise<void>((resolve) => server.on('listening', () => resolve()))
    return String(server.address().port)
  },
  moleculer: async (ports) => {
    const { ServiceBroker } = await peer<MoleculerModule>('moleculer')
    const broker = new ServiceBroker(moleculerOptions('server', ports))
    broker.createService({ name: 'bench', actions: { echo: (context) => context.params.x } })
    await broker.start()
    return ports
  },
  libp2p: async () => {
    const node = await startLibp2p(['/ip4/127.0.0.1/tcp/0'])
    const limits = { maxInboundStreams: MAX_STREAMS, maxOutboundStreams: MAX_STREAMS }
    await node.handle(
      ECHO_PROTOCOL,
      (stream) => {
        const splitter = new FrameSplitter((message) => stream.send(frameOf(message)))
        stream.addEventListener('message', ({ data }) => splitter.push(data.subarray()))
      },
      limits,
    )
    await node.handle(
      ECHO_ONCE_PROTOCOL,
      (stream) => {
        const splitter = new FrameSplitter((message) => {
          stream.send(frameOf(message))
          stream.close().catch(() => {})
        })
        stream.addEventListener('message', ({ data }) => splitter.push(data.subarray()))
      },
      limits,
    )
    return String(node.getMultiaddrs()[0])
  },
  shoal: async (isolation) => {
    const client = await startShoal({ http: false, mesh: true })
    await client.createBackend('bench', (request: Work) => request.data, { replicaOptions: { isolation } })
    await client.createEndpoint('bench', { backend: 'bench' })
    return client.createTicket({ roles: ['caller'] })
  },
}

process.on('disconnect', () => process.exit(0))
process.send?.(await servers[process.argv[2] as MeshServerKind](process.argv[3] ?? ''))
