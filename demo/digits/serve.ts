import * as serve from '../../node/index.ts'

/** A client of an instance, as `start` and `connect` give it. */
type Client = Awaited<ReturnType<typeof serve.start>>

const here = (path: string): URL => new URL(path, import.meta.url)

/** The model versions, how many replicas each has, and its share of the traffic. */
const VERSIONS = [
  { version: 'small', numReplicas: 2, share: 0.9 },
  { version: 'large', numReplicas: 1, share: 0.1 },
] as const

/**
 * Puts the digits demo on an instance: `POST /digits` answered 90 : 10 by a small and a large model, the page at `/`, the test images at
 * `/test-images`. Resolves when all of it answers; rejects with the cause when a model does not load or a name is taken.
 */
export async function serveDigits(client: Client): Promise<void> {
  const digits = serve.module(here('./digits.ts'), 'Digits')
  // Travels with the models to replicas on peers, where the package is not installed.
  const wasm = serve.asset(import.meta.resolve('onnxruntime-web/ort-wasm-simd-threaded.wasm'))
  await Promise.all([
    ...VERSIONS.map(({ version, numReplicas }) =>
      client.createBackend(`digits-${version}`, digits, {
        initArgs: [serve.asset(here(`./models/${version}.onnx`)), version, wasm],
        config: { numReplicas, maxBatchSize: 16 },
      }),
    ),
    // Beside its caller: the files of the page are on this machine, and do not travel to peers.
    client.createBackend('page', serve.module(here('./page.ts'), 'Page'), { replicaOptions: { isolation: 'inline' } }),
  ])
  await client.createEndpoint('digits', { backend: 'digits-small', route: '/digits', methods: ['POST'] })
  await client.setTraffic('digits', Object.fromEntries(VERSIONS.map(({ version, share }) => [`digits-${version}`, share])))
  // An endpoint has one route, so the page has three endpoints; one backend answers them all.
  await client.createEndpoint('page', { backend: 'page', route: '/' })
  await client.createEndpoint('page-files', { backend: 'page', route: '/page/*' })
  await client.createEndpoint('test-images', { backend: 'page', route: '/test-images' })
}
