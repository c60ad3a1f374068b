import { expect } from 'chai'
import { encodeHttpHead, STREAMED } from '../../../core/request/index.ts'
import { Upload } from '../../../core/service/index.ts'
import { Deployment } from '../../support/deployment.ts'
import { makeCall } from '../../support/make-call.ts'

describe('a shadow of a request whose body streams in', () => {
  it('is dropped and counted, and takes nothing of the body', async () => {
    const deployment = new Deployment()
    const shadowSaw: unknown[] = []
    await deployment.backend('main', async (request: Request) => (await request.bytes()).length)
    await deployment.backend('shadow', (request: Request) => void shadowSaw.push(request))
    await deployment.endpoint('e', 'main')
    await deployment.controller.shadowTraffic('e', 'shadow', 1)
    const meta = encodeHttpHead({ rendered: true, callMethod: '', httpMethod: 'POST', url: 'http://h/', requestId: 'r', rawHeaders: [] })
    const upload = new Upload(async () => undefined, { first: new Uint8Array(5), limitBytes: 10 })
    const { call, sink } = makeCall({ endpoint: 'e', meta, data: STREAMED, upload })
    deployment.controller.router.dispatch(call)
    await deployment.settle()
    await deployment.settle()
    expect(sink.value).to.equal('5')
    expect(shadowSaw).to.deep.equal([])
    expect(deployment.controller.router.countersOf('e')).to.include({ shadowed: 1, shadowsDropped: 1, shadowsFailed: 0 })
  })
})
