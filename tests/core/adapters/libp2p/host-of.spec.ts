import { expect } from 'chai'
import { hostOf } from '../../../../core/adapters/libp2p/host-of.ts'

describe('hostOf', () => {
  for (const [name, value, host] of [
    ['ip4', '192.168.0.7', '192.168.0.7'],
    ['ip4', '127.0.0.1', undefined],
    ['ip6', '::1', undefined],
    ['ip6', '2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['ip6', '2001:db8::6', '2001:db8:0:0::/64'],
    ['ip6', 'fe80::', 'fe80:0:0:0::/64'],
    ['ip6', '::ffff:10.0.0.1', '10.0.0.1'],
    ['ip6', '::ffff:127.0.0.1', undefined],
    ['dns4', 'example.test', undefined],
    ['', '', undefined],
  ] as const) {
    it(`of ${name} ${value} is ${host ?? 'nobody to limit'}`, () => expect(hostOf(name, value)).to.equal(host))
  }
})
