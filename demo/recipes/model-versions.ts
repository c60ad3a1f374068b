/** The deployment loop: each run says what shall be served, new versions come, old ones go. Running it twice changes nothing. */
import assert from 'node:assert/strict'
import * as serve from '../../node/index.ts'

class Model {
  version: string

  constructor(version: string) {
    this.version = version
  }

  call(): string {
    return `answered by ${this.version}`
  }
}

/** What shall be served: one version, or the old and the new one side by side. */
const appOf = (traffic: Record<string, number>): serve.App =>
  serve.defineApp({
    backends: Object.fromEntries(Object.keys(traffic).map((tag) => [tag, { target: Model, initArgs: [tag] }])),
    endpoints: { model: { route: '/model', traffic } },
  })

const client = await serve.start({ http: { port: 0 } })
const served = async (): Promise<string[]> => Object.keys(await client.listBackends())
const answer = async (): Promise<string> => (await fetch(`${client.http?.url}/model`)).text()

await client.deploy(appOf({ 'model-v1': 1 }))
assert.equal(await answer(), 'answered by model-v1')

await client.deploy(appOf({ 'model-v1': 0.75, 'model-v2': 0.25 }))
assert.deepEqual(await served(), ['model-v1', 'model-v2'])

const before = Object.keys((await client.status()).backends['model-v2']?.replicas ?? {})
await client.deploy(appOf({ 'model-v1': 0.75, 'model-v2': 0.25 }))
assert.deepEqual(Object.keys((await client.status()).backends['model-v2']?.replicas ?? {}), before)

await client.deploy(appOf({ 'model-v2': 1 }))
assert.deepEqual(await served(), ['model-v2'])
assert.equal(await answer(), 'answered by model-v2')

await client.close()
