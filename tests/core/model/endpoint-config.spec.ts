import { expect } from 'chai'
import { isServeError } from '../../../core/base/index.ts'
import { resolveEndpointOptions } from '../../../core/model/index.ts'

function codeOf(name: unknown, given: unknown): string {
  try {
    resolveEndpointOptions(name, given)
  } catch (error) {
    if (isServeError(error)) return error.code
    throw error
  }
  return 'none'
}

describe('endpoint options', () => {
  it('have no route and take GET unless told', () => {
    expect(resolveEndpointOptions('e', { backend: 'b' })).to.deep.equal({ name: 'e', backend: 'b', route: null, methods: ['GET'] })
  })

  it('put methods in upper case and fold duplicates, invented ones included', () => {
    const { methods } = resolveEndpointOptions('e', { backend: 'b', methods: ['post', 'GET', 'Post', 'x-frob~1'] })
    expect(methods).to.deep.equal(['POST', 'GET', 'X-FROB~1'])
  })

  it('keep the methods that HTTP may name', () => {
    expect(resolveEndpointOptions('e', { backend: 'b', callMethods: ['a', 'b', 'a'] }).callMethods).to.deep.equal(['a', 'b'])
    expect(resolveEndpointOptions('e', { backend: 'b', callMethods: [] }).callMethods).to.deep.equal([])
  })

  it('are frozen', () => {
    const options = resolveEndpointOptions('e', { backend: 'b', methods: ['PUT'], callMethods: ['a'] })
    for (const part of [options, options.methods, options.callMethods]) expect(Object.isFrozen(part)).to.equal(true)
  })

  for (const [name, given] of [
    ['no options', undefined],
    ['options that are a string', 'backend'],
    ['no backend', { route: '/x' }],
    ['a backend that is a function', { backend: () => 1 }],
    ['a backend that is empty', { backend: '' }],
    ['methods that are a string', { backend: 'b', methods: 'GET' }],
    ['no methods at all', { backend: 'b', methods: [] }],
    ['a method that is no string', { backend: 'b', methods: [1] }],
    ['a method with a space', { backend: 'b', methods: ['GET POST'] }],
    ['an empty method', { backend: 'b', methods: [''] }],
    ['a hole in methods', { backend: 'b', methods: new Array(1) }],
    ['callMethods that are a string', { backend: 'b', callMethods: 'a' }],
    ['an empty name in callMethods', { backend: 'b', callMethods: [''] }],
  ] as const) {
    it(`refuse ${name} with ERR_INVALID_ARG_TYPE`, () => {
      expect(codeOf('e', given)).to.equal('ERR_INVALID_ARG_TYPE')
    })
  }

  for (const name of ['', undefined, 7, null]) {
    it(`refuse ${String(name) || 'an empty string'} as a name with ERR_INVALID_ARG_TYPE`, () => {
      expect(codeOf(name, { backend: 'b' })).to.equal('ERR_INVALID_ARG_TYPE')
    })
  }

  it('refuse an unknown key with ERR_INVALID_CONFIG', () => {
    expect(codeOf('e', { backend: 'b', rout: '/x' })).to.equal('ERR_INVALID_CONFIG')
  })

  for (const route of ['/', '/*', '/api', '/api/', '/api/*', '/a/b.c/..d', '/-x', '/a/-/b', '/-dash/*', '/...', '/caf%C3%A9', '/:id']) {
    it(`take the route ${route}`, () => {
      expect(resolveEndpointOptions('e', { backend: 'b', route }).route).to.equal(route)
    })
  }

  const refused = ['', 'api', 'http://x/api', '/a?b', '/a#b', '/a*', '/*/a', '/a/*/b', '/**', '*', '/-', '/-/', '/-/routes', '/-/*']
  for (const route of [
    ...refused,
    '//',
    '/a//b',
    '/a/.',
    '/a/../b',
    '/./*',
    '/%2e%2E/a',
    '/a\\b',
    '/a\nb',
    '/a\u0000',
    '/a\u007f',
    7,
    {},
  ]) {
    it(`refuse the route ${JSON.stringify(route)} with ERR_INVALID_ROUTE`, () => {
      expect(codeOf('e', { backend: 'b', route })).to.equal('ERR_INVALID_ROUTE')
    })
  }
})
