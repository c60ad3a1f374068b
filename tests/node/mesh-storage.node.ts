import { expect } from 'chai'
import { withPorts } from '../../node/mesh-storage.ts'

describe('withPorts', () => {
  const cases: readonly (readonly [what: string, listen: string[], listened: string[], got: string[]])[] = [
    [
      'fills in what free ports have become, each by its transport',
      ['/ip4/127.0.0.1/tcp/0', '/ip4/127.0.0.1/tcp/0/ws'],
      ['/ip4/127.0.0.1/tcp/5002/ws/p2p/12D3', '/ip4/127.0.0.1/tcp/5001/p2p/12D3'],
      ['/ip4/127.0.0.1/tcp/5001', '/ip4/127.0.0.1/tcp/5002/ws'],
    ],
    [
      'takes the port of any interface for an address of all of them',
      ['/ip4/0.0.0.0/tcp/0', '/ip4/0.0.0.0/tcp/0/ws', '/ip6/::/tcp/0'],
      [
        '/ip6/::1/tcp/5003/p2p/12D3',
        '/ip4/127.0.0.1/tcp/5001/p2p/12D3',
        '/ip4/10.0.0.5/tcp/5001/p2p/12D3',
        '/ip4/10.0.0.5/tcp/5002/ws/p2p/12D3',
      ],
      ['/ip4/0.0.0.0/tcp/5001', '/ip4/0.0.0.0/tcp/5002/ws', '/ip6/::/tcp/5003'],
    ],
    [
      'gives each port to one address',
      ['/ip4/127.0.0.1/tcp/0', '/ip4/127.0.0.1/tcp/0'],
      ['/ip4/127.0.0.1/tcp/5001/p2p/12D3', '/ip4/127.0.0.1/tcp/5002/p2p/12D3'],
      ['/ip4/127.0.0.1/tcp/5001', '/ip4/127.0.0.1/tcp/5002'],
    ],
    [
      'leaves alone what was asked for with a port, and what led to nothing',
      ['/ip4/127.0.0.1/tcp/4001', '/ip4/192.168.0.9/tcp/0', '/dns4/example.test/tcp/0'],
      ['/ip4/127.0.0.1/tcp/4001/p2p/12D3'],
      ['/ip4/127.0.0.1/tcp/4001', '/ip4/192.168.0.9/tcp/0', '/dns4/example.test/tcp/0'],
    ],
  ]
  for (const [what, listen, listened, got] of cases) {
    it(what, () => expect(withPorts(listen, listened)).to.deep.equal(got))
  }
})
