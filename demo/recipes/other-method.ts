/** Calls a method of a backend's class besides `call`: by name on the handle, by `options`, or by a header over HTTP. */
import assert from 'node:assert/strict'
import * as serve from '../../node/index.ts'

class StatefulProcessor {
  count = 1

  call(): { current: number } {
    return { current: this.count }
  }

  /** The request stands for its data where a primitive is wanted, so it can be added. */
  otherMethod(inc: number): boolean {
    this.count += inc
    return true
  }

  /** Over HTTP the one argument is a web request, with its decoded body as `data`. */
  subtract(request: serve.ServeRequest<number>): boolean {
    this.count -= request.data
    return true
  }
}

const client = await serve.start({ http: { port: 0 } })
await client.createBackend('processor', StatefulProcessor)
await client.createEndpoint('processor', { backend: 'processor', route: '/processor', methods: ['GET', 'POST'] })

const handle = client.getHandle<typeof StatefulProcessor>('processor')
assert.equal(await handle.options({ methodName: 'otherMethod' }).remote(5), true)
assert.equal(await handle.otherMethod.remote(5), true)

const response = await fetch(`${client.http?.url}/processor`, {
  method: 'POST',
  headers: { 'X-SERVE-CALL-METHOD': 'subtract', 'content-type': 'application/json' },
  body: '5',
})
assert.equal(await response.json(), true)
assert.deepEqual(await handle.remote(), { current: 6 })

await assert.rejects(handle.options({ methodName: 'nothing' }).remote(), { code: 'ERR_METHOD_NOT_FOUND' })

await client.close()
