import { expect } from 'chai'
import { type InstanceLink, type InstancePlatform, LocalInstance, RemoteInstance, serveInstance } from '../../../core/api/index.ts'
import { ServeError, SILENT } from '../../../core/base/index.ts'
import { resolveHttpOptions } from '../../../core/gateway/index.ts'
import { resolveBackendConfig, resolveReplicaOptions } from '../../../core/model/index.ts'
import { createPortPair, InProcessHost } from '../../../core/replica/index.ts'
import type { ServeRequest } from '../../../core/request/index.ts'
import { FakeClock, testTurns } from '../../support/fake-clock.ts'
import { seededRandom } from '../../support/seeded-random.ts'

/** Both ends of a link inside this thread, and how it breaks. */
interface TestLink {
  readonly client: InstanceLink
  readonly instance: InstanceLink
  readonly holds: boolean[]
  cut(): void
}

function linkPair(): TestLink {
  const turns = testTurns()
  const [callsHere, callsThere] = createPortPair(turns)
  const [controlHere, controlThere] = createPortPair(turns)
  const holds: boolean[] = []
  let cut: () => void = () => {}
  const whenGone = new Promise<string>((resolve) => {
    cut = () => resolve('it was cut')
  })
  const end = (calls: InstanceLink['calls'], control: InstanceLink['control']): InstanceLink => ({
    calls,
    control,
    whenGone,
    hold: (isBusy) => holds.push(isBusy),
    close: cut,
  })
  return { client: end(callsHere, controlHere), instance: end(callsThere, controlThere), holds, cut }
}

describe('RemoteInstance', () => {
  const clock = new FakeClock()
  const turns = testTurns()
  const remotePlatform = {
    clock,
    turns,
    callerOf: () => undefined,
    toPortableCode: () => Promise.reject(new ServeError('ERR_BACKEND_NOT_PORTABLE', 'not in this test')),
    whenEnded: async () => {},
  }

  /** An instance whose module `echo` gives its data back, and a client at the other end of a link. */
  const attached = async (): Promise<{ instance: LocalInstance; remote: RemoteInstance; link: TestLink }> => {
    const load = async (): Promise<unknown> => (request: ServeRequest) => request.data
    const host = new InProcessHost(
      { load, readBytes: async () => new Uint8Array(), connect: () => ({ getHandle: () => undefined }) },
      clock,
      turns,
    )
    const platform: InstancePlatform = {
      runtime: 'node',
      clock,
      turns,
      random: seededRandom(1),
      log: SILENT,
      hosts: new Map([['thread', host]]),
      resources: { cpu: 1 },
      readBytes: async () => new Uint8Array(),
      callerOf: remotePlatform.callerOf,
      toPortableCode: remotePlatform.toPortableCode,
      loadModule: load,
    }
    const instance = await LocalInstance.start({ name: 'test', http: undefined, fetchOptions: resolveHttpOptions({}) }, platform)
    const link = linkPair()
    serveInstance({ instance, link: link.instance, processes: [], shutdown: (timeoutMs) => instance.shutdown(timeoutMs) }, turns)
    const remote = await RemoteInstance.attach(link.client, remotePlatform)
    await instance.controller.createBackend({
      tag: 'echo',
      code: { kind: 'module', url: 'test:echo', exportName: 'default' },
      initArgs: [],
      config: resolveBackendConfig({}),
      replicaOptions: resolveReplicaOptions({}),
    })
    await remote.createEndpoint('echo', { backend: 'echo' })
    return { instance, remote, link }
  }

  it('calls what runs at the other end', async () => {
    const { instance, remote } = await attached()
    expect(await remote.getHandle('echo', false).remote({ a: 1 })).to.deep.equal({ a: 1 })
    await instance.shutdown(0)
  })

  it('holds its link while something is open, and lets it go afterwards', async () => {
    const { instance, remote, link } = await attached()
    link.holds.length = 0
    await remote.getHandle('echo', false).remote(1)
    expect(link.holds).to.deep.equal([true, false])
    await instance.shutdown(0)
  })

  it('fails with ERR_PROTOCOL_VERSION where another version is spoken', async () => {
    const link = linkPair()
    link.instance.control.listen((message) => {
      link.instance.control.post([2, message[1], { name: 'ServeError', message: 'other', code: 'ERR_PROTOCOL_VERSION' }])
    })
    const error = await RemoteInstance.attach(link.client, remotePlatform).catch((reason: unknown) => reason)
    expect(error).to.have.property('code', 'ERR_PROTOCOL_VERSION')
  })

  it('gives up on an instance that does not answer', async () => {
    const attempt = RemoteInstance.attach(linkPair().client, remotePlatform).catch((reason: unknown) => reason)
    await clock.advance(10_000)
    expect(await attempt).to.have.property('code', 'ERR_PEER_UNREACHABLE')
  })

  it('fails everything after the link was cut', async () => {
    const { instance, remote, link } = await attached()
    const handle = remote.getHandle('echo', false)
    link.cut()
    await remote.status().catch(() => undefined)
    const errors = await Promise.all(
      [handle.remote(1), remote.listBackends(), remote.shutdown()].map((one) =>
        Promise.resolve(one).catch((error: ServeError) => error.code),
      ),
    )
    expect(errors).to.deep.equal(Array(3).fill('ERR_PEER_UNREACHABLE'))
    await instance.shutdown(0)
  })
})
