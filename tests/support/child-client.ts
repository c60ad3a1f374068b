/** A process that attaches to an instance, calls, and comes to its end without closing: `node child-client.ts NAME`. */
import * as serve from '../../node/index.ts'

const client = await serve.connect({ name: process.argv[2] ?? 'child' })
process.stdout.write(`${await client.getHandle('echo').remote('from outside')}\n`)
