import { setTimeout as delay } from 'node:timers/promises'
import { openMeshTransport } from '../../node/mesh-libp2p.ts'
import { peerTransportCompliance } from '../compliance/peer-transport.ts'

for (const [name, listen] of [
  ['libp2p over TCP', '/ip4/127.0.0.1/tcp/0'],
  ['libp2p over WebSocket', '/ip4/127.0.0.1/tcp/0/ws'],
] as const) {
  peerTransportCompliance(name, async () => {
    const a = await openMeshTransport({ listen: [] })
    const b = await openMeshTransport({ listen: [listen] })
    return {
      a,
      b,
      async until(isDone, what) {
        // Real sockets: the condition is waited for, however long the machine takes, up to the limit of the test.
        for (let i = 0; i < 9_000; i++) {
          if (isDone()) return
          await delay(1)
        }
        throw new Error(`waited in vain for ${what}`)
      },
      pass: () => delay(30),
      async close() {
        await Promise.all([a.close(), b.close()])
      },
    }
  })
}
