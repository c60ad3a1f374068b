/**
 * A process that joins Shoal: `mesh-joiner.ts - - - <where Shoal is from>`, started with an IPC channel. Told a ticket it joins and calls until a replica
 * of its own answers, then tells how many milliseconds that took from the start of `join`. Ends with the process that started it.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { loadShoal } from '../shoal.ts'

process.on('disconnect', () => process.exit(0))
process.on('message', async (ticket: string) => {
  const startMs = performance.now()
  const client = await shoal.join(ticket, { logger: { debug() {}, info() {}, warn() {}, error() {} } })
  const joinedMs = performance.now() - startMs
  // A node prefers an idle replica of its own, so the first one here is found at once.
  const handle = client.getHandle('pid')
  while ((await handle.remote()) !== process.pid) await delay(1)
  process.send?.({ joinedMs, servedMs: performance.now() - startMs })
})
const shoal = await loadShoal()
process.send?.('loaded')
