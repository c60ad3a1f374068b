/** The demo without a server: the replicas are Web Workers of this page, which is its own gateway. */
import * as serve from '../../../browser/index.ts'

/** As `serve.ts` has it; a page has fewer cores to give. */
const VERSIONS = [
  { version: 'small', numReplicas: 2, share: 0.9, model: new URL('../models/small.onnx', import.meta.url) },
  { version: 'large', numReplicas: 1, share: 0.1, model: new URL('../models/large.onnx', import.meta.url) },
] as const

const whenServing = startServing()
answerFetches()

async function startServing(): Promise<serve.Client> {
  const client = await serve.start()
  const digits = serve.worker((Worker) => new Worker(new URL('./digits.worker.ts', import.meta.url), { type: 'module' }))
  await Promise.all(
    VERSIONS.map(({ version, numReplicas, model }) =>
      client.createBackend(`digits-${version}`, digits, {
        initArgs: [serve.asset(model), version],
        config: { numReplicas, maxBatchSize: 16 },
      }),
    ),
  )
  await client.createEndpoint('digits', { backend: 'digits-small', route: '/digits', methods: ['POST'] })
  await client.setTraffic('digits', Object.fromEntries(VERSIONS.map(({ version, share }) => [`digits-${version}`, share])))
  return client
}

/** The page itself is the one of the server and knows nothing of this: what it asks of `/digits` is answered here. */
function answerFetches(): void {
  const network = globalThis.fetch
  globalThis.fetch = async (input, init) => {
    const request = new Request(input instanceof Request ? input : new URL(input, document.baseURI), init)
    const { pathname } = new URL(request.url)
    if (pathname === '/digits') return (await whenServing).fetch(request)
    if (pathname === '/test-images') return network(new URL('data/test.json', document.baseURI))
    return network(request)
  }
}
