/** A process that puts edits one after the other and prints each number once it is acknowledged: `node state-writer.ts FOLDER FIRST`. */
import { FileStateStore } from '../../node/file-store.ts'

const [folder = '', first = '0'] = process.argv.slice(2)
const store = await FileStateStore.open(folder)
await store.load()
for (let i = Number(first); ; i++) {
  await store.put([{ key: `k${i}`, value: i }])
  process.stdout.write(`${i}\n`)
}
