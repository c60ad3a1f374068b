/** Echoes calls that come many to a message as [id, x, id, x, ...]; the answers of a turn leave in one message. */
import { parentPort } from 'node:worker_threads'

const port = parentPort
if (port === null) throw new Error('workers/coalesced.ts runs in a worker only')

let answers: unknown[] = []
port.on('message', (calls: readonly unknown[]) => {
  if (answers.length === 0) {
    process.nextTick(() => {
      const message = answers
      answers = []
      port.postMessage(message)
    })
  }
  for (const part of calls) answers.push(part)
})
