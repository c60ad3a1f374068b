import { expect } from 'chai'
import { canonicalPath, HostRule, RouteTable } from '../../../core/gateway/index.ts'

describe('route table', () => {
  const table = new RouteTable(
    ['/a', '/*', '/p/*', '/p/q/*', '/p/q/r', '/a b', '/c%2Fd'].map((route) => ({ route, endpoint: route, methods: ['GET'] })),
  )
  const rows: [string, string][] = [
    ['/a', '/a'],
    ['/a/', '/*'],
    ['/', '/*'],
    ['/p', '/p/*'],
    ['/pq', '/*'],
    ['/p/x', '/p/*'],
    ['/p/q', '/p/q/*'],
    ['/p/q/s', '/p/q/*'],
    ['/p/q/r', '/p/q/r'],
    ['/p/q/r/s', '/p/q/*'],
    ['/a%20b', '/a b'],
    ['/c%2fd', '/c%2Fd'],
    ['/c/d', '/*'],
    ['/c%252Fd', '/*'],
  ]
  for (const [path, route] of rows) {
    it(`finds ${route} for ${path}`, () => {
      expect(table.find(canonicalPath(path) as string)?.route).to.equal(route)
    })
  }

  it('finds nothing where nothing fits', () => {
    expect(new RouteTable([{ route: '/a/*', endpoint: 'a', methods: ['GET'] }]).find('/b')).to.equal(undefined)
  })

  it('adds HEAD to GET only', () => {
    const [get, post] = [['GET'], ['POST']].map((methods) => new RouteTable([{ route: '/a', endpoint: 'a', methods }]).find('/a'))
    expect([get?.allow, post?.allow]).to.deep.equal(['GET, HEAD', 'POST'])
  })

  for (const path of ['/..', '/a/../b', '/./a', '/%2e%2E/a', '/a/.%2e', '/a\\b', '/%', '/%c3', '/%00']) {
    it(`has no canonical form for ${path}`, () => {
      expect(canonicalPath(path)).to.equal(undefined)
    })
  }

  it('leaves dots within names alone', () => {
    expect(canonicalPath('/.well-known/..a/b..')).to.equal('/.well-known/..a/b..')
  })
})

describe('host rule', () => {
  it('serves listed names with any port, or with the listed one only', () => {
    const rule = new HostRule({ host: '127.0.0.1', hosts: ['API.example', 'other.example:81'] })
    const served = [
      'api.example',
      'api.example:5',
      'other.example:81',
      'localhost:9',
      'other.example',
      'x.api.example',
      'api.example.',
    ].map((host) => rule.serves(host))
    expect(served).to.deep.equal([true, true, true, true, false, false, false])
  })

  it('serves addresses beyond loopback only when bound beyond it and no names are listed', () => {
    const serves = (host: string, hosts: string[]): boolean => new HostRule({ host, hosts }).serves('192.0.2.7:80')
    expect([
      serves('127.0.0.1', []),
      serves('0.0.0.0', []),
      serves('0.0.0.0', ['a.example']),
      serves('192.0.2.7', ['a.example']),
    ]).to.deep.equal([false, true, false, true])
  })
})
