import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { expect } from 'chai'
import * as serve from '../../node/index.ts'

const quiet = { debug() {}, info() {}, warn() {}, error() {} }
const FIXTURES = new URL('./fixtures/mesh-code/', import.meta.url)
const AWAY = { placement: { labels: { place: 'away' } } }

interface Reading {
  readonly label: string
  readonly total: number
  readonly rows: number
  readonly environment: readonly string[]
  readonly code: string
  readonly notes: string
  readonly model: string
  readonly modelName: string
  readonly cwd: string
  readonly pid: number
}

describe('code and assets on a joined process', function () {
  this.timeout(60_000)

  let client: serve.Client
  let elsewhere: string
  let sources: string
  let joiner: ChildProcess | undefined

  beforeEach(async () => {
    elsewhere = mkdtempSync(join(tmpdir(), 'shoal-elsewhere-'))
    sources = mkdtempSync(join(tmpdir(), 'shoal-sources-'))
    cpSync(fileURLToPath(FIXTURES), sources, { recursive: true })
    writeFileSync(join(sources, 'model.onnx'), new Uint8Array(200_000).fill(1))
    client = await serve.start({ http: false, mesh: true, logger: quiet })
  })

  afterEach(async () => {
    joiner?.kill('SIGKILL')
    joiner = undefined
    await client.close()
    for (const folder of [elsewhere, sources]) rmSync(folder, { recursive: true, force: true })
  })

  it('serve there: a TypeScript module with what it imports, a file beside it, and an asset', async () => {
    const pid = await joinAway()
    await createReader()
    const reading = await read()
    expect(reading).to.deep.include({ pid, cwd: elsewhere, label: 'two', total: 200_000, rows: 3, modelName: 'model.onnx' })
  })

  it('are files of the peer in a folder that only its user can enter, and leave nothing behind', async () => {
    await joinAway()
    await createReader()
    const reading = await read()
    const folders = [reading.code, reading.model, reading.notes].map((url) => dirname(dirname(fileURLToPath(url))))
    expect(new Set(folders).size).to.equal(1)
    const [folder = ''] = folders
    expect(folder.startsWith(join(tmpdir(), 'shoal-code-'))).to.equal(true)
    expect(statSync(folder).mode & 0o777).to.equal(0o700)
    expect(readFileSync(fileURLToPath(reading.notes), 'utf8')).to.equal(readFileSync(new URL('./notes.txt', FIXTURES), 'utf8'))
    joiner?.send('leave')
    if (joiner !== undefined) await once(joiner, 'exit')
    expect(existsSync(folder)).to.equal(false)
  })

  for (const isolation of ['thread', 'process'] as const) {
    it(`see no environment in a ${isolation} but what the backend names`, async () => {
      await joinAway()
      await createReader({ replicaOptions: { ...AWAY, isolation, env: { ONLY: 'this' } } })
      expect((await read()).environment).to.deep.equal(['ONLY'])
    })
  }

  it('start there again when their sources are gone from the deploying side', async () => {
    await joinAway()
    await createReader()
    rmSync(sources, { recursive: true })
    await client.updateBackendConfig('reader', { numReplicas: 3 })
    expect((await client.status()).backends.reader?.ready).to.equal(3)
  })

  it('leave the folder of a peer that was killed to the next one, which removes it', async () => {
    await joinAway()
    await createReader()
    const folder = dirname(dirname(fileURLToPath((await read()).code)))
    const killed = joiner
    killed?.kill('SIGKILL')
    if (killed !== undefined) await once(killed, 'exit')
    expect(existsSync(folder)).to.equal(true)
    await client.deleteEndpoint('reader')
    await client.deleteBackend('reader')
    await joinAway()
    await createReader()
    expect(existsSync(folder)).to.equal(false)
  })

  it('are those of the peer alone when it takes none: code named', async () => {
    await joinAway('named')
    await createReader()
    expect(await client.getHandle('reader').remote()).to.equal("the owner's own")
  })

  it('find no place on a peer that takes none and has not registered the backend: ERR_INFEASIBLE', async () => {
    await joinAway('named')
    const error = await client.createBackend('other', () => 1, { replicaOptions: AWAY }).catch((reason: unknown) => reason)
    expect(error).to.have.property('code', 'ERR_INFEASIBLE')
  })

  for (const [file, told] of [
    ['faulty-import.ts', /import\(\) whose address is no literal in .*faulty-import\.ts:3/],
    ['faulty-package.ts', /'shoal-package-that-is-not-there', imported by .*faulty-package\.ts/],
    ['faulty-addon.ts', /native addon \.\/machine-code\.node, loaded by .*faulty-addon\.ts/],
    ['faulty-place.ts', /import\.meta\.dirname.* in .*faulty-place\.ts:1/],
  ] as const) {
    it(`fail the deploy by name when they cannot travel: ${file}`, async () => {
      const error = await client.createBackend('faulty', serve.module(new URL(file, FIXTURES))).catch((reason: unknown) => reason)
      expect(error).to.have.property('code', 'ERR_BACKEND_NOT_PORTABLE')
      expect((error as Error).message).to.match(told)
      expect(await client.listBackends()).to.deep.equal({})
    })
  }

  it('are not bundled for replicas that stay: isolation inline', async () => {
    await client.createBackend('here', serve.module(new URL('faulty-place.ts', FIXTURES)), { replicaOptions: { isolation: 'inline' } })
    await client.createEndpoint('here', { backend: 'here' })
    expect(await client.getHandle('here').remote()).to.equal(fileURLToPath(FIXTURES).replace(/\/$/, ''))
  })

  it('are not bundled by an instance without a mesh', async () => {
    const alone = await serve.start({ http: false, logger: quiet })
    await alone.createBackend('here', serve.module(new URL('faulty-place.ts', FIXTURES)))
    await alone.close()
  })

  it('keep their backend when they are deployed unchanged, and replace it when the source changed', async () => {
    const handler = join(sources, 'handler.ts')
    const deployed = async (): Promise<unknown> => {
      await client.deploy(
        serve.defineApp({
          backends: { handler: { target: serve.module(pathToFileURL(handler)) } },
          endpoints: { handler: { backend: 'handler' } },
        } as never),
      )
      return client.getHandle('handler').remote()
    }
    writeFileSync(handler, 'const made = performance.now()\nexport default () => made\n')
    const first = await deployed()
    expect(await deployed()).to.equal(first)
    writeFileSync(handler, 'const made = performance.now()\nexport default () => -made\n')
    expect(await deployed()).to.be.below(0)
  })

  async function joinAway(code = 'verified'): Promise<number | undefined> {
    const env = { ...process.env, TICKET: await client.createTicket(), CODE: code }
    const child = fork(new URL('./fixtures/mesh-code-joiner.ts', import.meta.url), { cwd: elsewhere, env })
    joiner = child
    await once(child, 'message')
    return child.pid
  }

  async function createReader(options: serve.BackendOptions = {}): Promise<void> {
    const model = serve.asset(pathToFileURL(join(sources, 'model.onnx')))
    const target = serve.module(pathToFileURL(join(sources, 'reader.ts')), 'Reader')
    await client.createBackend('reader', target, { replicaOptions: AWAY, ...options, initArgs: [{ model }] })
    await client.createEndpoint('reader', { backend: 'reader' })
  }

  async function read(): Promise<Reading> {
    return (await client.getHandle('reader').remote()) as Reading
  }
})
