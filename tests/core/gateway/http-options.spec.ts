import { expect } from 'chai'
import { type HttpOptions, resolveHttpOptions } from '../../../core/gateway/index.ts'

const codeOf = (options: unknown): unknown => {
  try {
    resolveHttpOptions(options as HttpOptions)
    return undefined
  } catch (error) {
    return (error as { code: unknown }).code
  }
}

describe('http options', () => {
  it('fill in loopback, port 8000 and the limits', () => {
    expect(resolveHttpOptions()).to.include({
      host: '127.0.0.1',
      port: 8_000,
      maxBodyBytes: 16_777_216,
      bufferBodyBytes: 1_048_576,
      maxHeaders: 100,
    })
  })

  it('take undefined for missing', () => {
    expect(resolveHttpOptions({ port: undefined } as never).port).to.equal(8_000)
  })

  it('name the nearest option for one they do not know', () => {
    expect(() => resolveHttpOptions({ maxBodyByte: 1 } as HttpOptions)).to.throw(/http\.maxBodyByte .*http\.maxBodyBytes/)
  })

  it('refuse a host beyond loopback, naming allowRemote, unless it is set', () => {
    expect(() => resolveHttpOptions({ host: '0.0.0.0' })).to.throw(/http\.allowRemote/)
    expect(resolveHttpOptions({ host: '0.0.0.0', allowRemote: true }).host).to.equal('0.0.0.0')
    for (const host of ['localhost', '127.0.0.2', '::1']) expect(codeOf({ host })).to.equal(undefined)
    for (const host of ['127.0.0.1.evil.test', 'localhost.evil.test', '::']) expect(codeOf({ host })).to.equal('ERR_INVALID_CONFIG')
  })

  const bad: unknown[] = [
    null,
    'http',
    { port: 70_000 },
    { port: '80' },
    { port: 1.5 },
    { host: '' },
    { maxBodyBytes: -1 },
    { maxHeaders: 0 },
    { exposeStacks: 'yes' },
    { overloadStatus: 500 },
    { hosts: 'a' },
    { hosts: ['http://a'] },
    { trustedOrigins: ['*'] },
    { trustedOrigins: ['https://a.example/path'] },
    { trustedOrigins: ['null'] },
    { middlewares: [1] },
    { adminToken: '' },
    { adminToken: {} },
    { tls: { key: 'k' } },
    { headersTimeoutMs: 2_000, uploadTimeoutMs: 1_000 },
  ]
  for (const options of bad) {
    it(`refuse ${JSON.stringify(options)}`, () => {
      expect(codeOf(options)).to.equal('ERR_INVALID_CONFIG')
    })
  }
})
