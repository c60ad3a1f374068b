import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { meshKey } from '../../core/adapters/tickets/index.ts'
import { type KeyPair, openKeyFile } from '../../node/key-file.ts'

describe('openKeyFile', () => {
  let folders: string[] = []

  const freshFile = (): string => {
    const folder = mkdtempSync(join(tmpdir(), 'shoal-key-'))
    folders.push(folder)
    return join(folder, 'mesh.key')
  }

  const errorOf = async (path: string): Promise<Error & { code?: string }> =>
    (await openKeyFile(path, make).catch((reason: unknown) => reason)) as Error

  afterEach(() => {
    for (const folder of folders) rmSync(folder, { recursive: true, force: true })
    folders = []
  })

  it('makes a key where there is none, and gives the same one from then on', async () => {
    const path = freshFile()
    const first = await openKeyFile(path, make)
    expect(await openKeyFile(path, make)).to.deep.equal(first)
    expect(readdirSync(join(path, '..'))).to.deep.equal(['mesh.key'])
  })

  it('keeps the key from others', async function () {
    if (process.platform === 'win32') this.skip()
    const path = freshFile()
    await openKeyFile(path, make)
    expect(statSync(path).mode & 0o777).to.equal(0o600)
  })

  it('refuses a key that others may read with ERR_STORAGE', async function () {
    if (process.platform === 'win32') this.skip()
    const path = freshFile()
    await openKeyFile(path, make)
    chmodSync(path, 0o640)
    expect(await errorOf(path)).to.have.property('code', 'ERR_STORAGE')
  })

  it('starts anew when a crash left a file half written', async () => {
    const path = freshFile()
    writeFileSync(`${path}.new`, '{"kty":"OK')
    const made = await openKeyFile(path, make)
    expect(await openKeyFile(path, make)).to.deep.equal(made)
  })

  for (const [what, change] of [
    ['that is empty', () => ''],
    ['that is cut short', (text: string) => text.slice(0, -10)],
    ['that holds something else', () => '{"kty":"EC"}'],
    ['whose halves do not belong together', (text: string) => text.replace(/"x":"[^"]{4}/, '"x":"AAAA')],
    ['with a half that is too short', (text: string) => text.replace(/"d":"[^"]{4}/, '"d":"')],
  ] as readonly (readonly [string, (text: string) => string])[]) {
    it(`refuses a file ${what} with ERR_STORAGE that names it and tells nothing of its content`, async () => {
      const path = freshFile()
      const { privateKey } = await openKeyFile(path, make)
      writeFileSync(path, change(readFileSync(path, 'utf8')))
      const error = await errorOf(path)
      expect(error).to.have.property('code', 'ERR_STORAGE')
      expect(error.message).to.include(path)
      expect(error.cause).to.equal(undefined)
      expect(error.message).not.to.include(privateKey.slice(4))
    })
  }

  it('says with ERR_STORAGE when the folder is not there', async () => {
    expect(await errorOf(join(freshFile(), 'missing', 'mesh.key'))).to.have.property('code', 'ERR_STORAGE')
  })
})

async function make(): Promise<KeyPair> {
  const key = await meshKey()
  return { publicKey: key.publicKey, privateKey: key.toSecret() }
}
