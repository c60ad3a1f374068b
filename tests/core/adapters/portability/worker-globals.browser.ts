import { expect } from 'chai'
import { WEB_WORKER_GLOBALS } from '../../../../core/adapters/portability/index.ts'

/** There only in a page that is isolated from other origins. */
const ISOLATED_ONLY = ['SharedArrayBuffer']

describe('WEB_WORKER_GLOBALS', () => {
  it('has nothing that a dedicated worker lacks', async () => {
    const program = 'onmessage = ({ data }) => postMessage(data.filter((name) => !(name in globalThis)))'
    const url = URL.createObjectURL(new Blob([program], { type: 'text/javascript' }))
    const worker = new Worker(url)
    try {
      const missing = await new Promise<string[]>((resolve, reject) => {
        worker.onmessage = ({ data }) => resolve(data)
        worker.onerror = reject
        worker.postMessage([...WEB_WORKER_GLOBALS])
      })
      expect(missing.filter((name) => !ISOLATED_ONLY.includes(name))).to.deep.equal([])
    } finally {
      worker.terminate()
      URL.revokeObjectURL(url)
    }
  })

  it('leaves out names that are more often a variable', () => {
    for (const name of ['name', 'origin', 'close', 'status', 'event']) expect(WEB_WORKER_GLOBALS.has(name)).to.equal(false)
  })
})
