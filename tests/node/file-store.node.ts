import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import { FileStateStore } from '../../node/file-store.ts'
import { stateStoreCompliance } from '../compliance/state-store.ts'

/** Processes that are killed while they write. */
const KILLS = 5
/** Acknowledged edits after which a writer is killed. */
const EDITS_PER_LIFE = 40

describe('FileStateStore', () => {
  let folders: string[] = []

  const freshFolder = (): string => {
    const folder = mkdtempSync(join(tmpdir(), 'shoal-store-'))
    folders.push(folder)
    return folder
  }

  const contentOf = async (folder: string): Promise<Record<string, unknown>> => {
    const store = await FileStateStore.open(folder)
    const values = await store.load()
    await store.close()
    return Object.fromEntries(values)
  }

  const withEdits = async (count: number, value: (i: number) => unknown = (i) => i): Promise<string> => {
    const folder = freshFolder()
    const store = await FileStateStore.open(folder)
    await store.load()
    for (let i = 0; i < count; i++) await store.put([{ key: `k${i}`, value: value(i) }])
    await store.close()
    return folder
  }

  afterEach(() => {
    for (const folder of folders) rmSync(folder, { recursive: true, force: true })
    folders = []
  })

  stateStoreCompliance('FileStateStore', async () => {
    const folder = join(freshFolder(), 'made', 'when', 'missing')
    return { open: () => FileStateStore.open(folder) }
  })

  it('cuts off a record that was torn at any byte, and keeps all before it', async () => {
    const folder = await withEdits(2)
    const whole = readFileSync(join(folder, 'journal'))
    const lengthOfFirst = 8 + whole.readUInt32BE(0)
    const contents = new Set<string>()
    for (let length = lengthOfFirst; length < whole.length; length++) {
      writeFileSync(join(folder, 'journal'), whole.subarray(0, length))
      contents.add(JSON.stringify(await contentOf(folder)))
    }
    expect([...contents]).to.deep.equal(['{"k0":0}'])
  })

  it('takes puts behind a tail that was cut off', async () => {
    const folder = await withEdits(2)
    truncateSync(join(folder, 'journal'), readFileSync(join(folder, 'journal')).length - 1)
    const store = await FileStateStore.open(folder)
    await store.load()
    await store.put([{ key: 'next', value: true }])
    await store.close()
    expect(await contentOf(folder)).to.deep.equal({ k0: 0, next: true })
  })

  it('takes zeros at the end for a tail', async () => {
    const folder = await withEdits(1)
    appendFileSync(join(folder, 'journal'), Buffer.alloc(100))
    expect(await contentOf(folder)).to.deep.equal({ k0: 0 })
  })

  it('refuses a journal that is damaged in the middle instead of dropping what was acknowledged', async () => {
    const folder = await withEdits(3)
    const bytes = readFileSync(join(folder, 'journal'))
    bytes[10] = (bytes[10] ?? 0) ^ 0xff
    writeFileSync(join(folder, 'journal'), bytes)
    const store = await FileStateStore.open(folder)
    const error = await store.load().catch((reason: unknown) => reason)
    await store.close()
    expect(error).to.have.property('code', 'ERR_STORAGE')
  })

  it('folds a long journal into a snapshot', async () => {
    const folder = await withEdits(40, () => 'x'.repeat(10_000))
    expect(statSync(join(folder, 'journal')).size).to.be.below(300_000)
    expect(Object.keys(await contentOf(folder))).to.have.length(40)
  })

  it('gives the same when the journal is replayed onto a snapshot that has it', async () => {
    const folder = await withEdits(3)
    writeFileSync(join(folder, 'snapshot'), readFileSync(join(folder, 'journal')))
    expect(await contentOf(folder)).to.deep.equal({ k0: 0, k1: 1, k2: 2 })
  })

  it('keeps its files from others', async function () {
    if (process.platform === 'win32') this.skip()
    const folder = await withEdits(1)
    expect(statSync(join(folder, 'journal')).mode & 0o777).to.equal(0o600)
  })

  it('refuses a second owner with ERR_STORAGE', async () => {
    const folder = freshFolder()
    const owner = await FileStateStore.open(folder)
    const error = await FileStateStore.open(folder).catch((reason: unknown) => reason)
    await owner.close()
    expect(error).to.have.property('code', 'ERR_STORAGE')
  })

  it('takes over from an owner that is dead', async () => {
    const folder = await withEdits(1)
    writeFileSync(join(folder, 'lock'), '2147483646 1')
    expect(await contentOf(folder)).to.deep.equal({ k0: 0 })
  })

  it('has every acknowledged edit after each of several kill -9', async function () {
    this.timeout(60_000)
    const folder = freshFolder()
    const writer = fileURLToPath(new URL('../support/state-writer.ts', import.meta.url))
    let acknowledged = -1
    for (let life = 0; life < KILLS; life++) {
      const child = spawn(process.execPath, [writer, folder, String(acknowledged + 1)], { stdio: ['ignore', 'pipe', 'inherit'] })
      const last = acknowledged + EDITS_PER_LIFE
      for await (const line of createInterface({ input: child.stdout })) {
        acknowledged = Number(line)
        if (acknowledged >= last) break
      }
      child.kill('SIGKILL')
      await once(child, 'exit')
      const values = await contentOf(folder)
      for (let i = 0; i <= acknowledged; i++) expect(values[`k${i}`], `life ${life}, edit ${i}`).to.equal(i)
    }
  })
})
