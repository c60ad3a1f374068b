import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { expect } from 'chai'
import { checkPortable, NODE_WORKER_GLOBALS } from '../../core/adapters/portability/index.ts'
import { callerFile, evaluateSource, locateSource, locateText, silenceImportWarning } from '../../node/evaluate-source.ts'
import { runInWorker } from '../matrix/by-value/run-in-worker.ts'

const HERE = fileURLToPath(import.meta.url)

function portable(target: CallableFunction | NewableFunction) {
  return checkPortable(target, { globals: NODE_WORKER_GLOBALS })
}

/** The top frame of a stack as `file:line:column`. */
function topFrame(stack: string | undefined): string {
  return /(?:\(|at )([^\s()]+:\d+:\d+)\)?$/m.exec(stack ?? '')?.[1] ?? ''
}

describe('evaluateSource', () => {
  it('makes a class again that keeps its private members and its name', () => {
    const Counter = class {
      #count = 2
      call(): number {
        return this.#count
      }
    }
    const Again = evaluateSource(portable(Counter)) as unknown as typeof Counter
    expect([new Again().call(), Again.name]).to.deep.equal([2, 'Counter'])
  })

  it('names an arrow after the variable that held it', () => {
    const answer = () => 42
    expect(evaluateSource(portable(answer)).name).to.equal('answer')
  })

  it('gives a method whose key was computed its name back', () => {
    const key = Symbol('of the key')
    const made = evaluateSource(portable({ [key]() {} }[key]))
    expect(made.name).to.equal('[of the key]')
  })

  it('leaves a static name of a class alone', () => {
    const Named = class {
      call(): void {}
      static get name(): string {
        return 'chosen'
      }
    }
    expect(evaluateSource(portable(Named)).name).to.equal('chosen')
  })

  it('runs strict code strictly', () => {
    const self = function (this: unknown) {
      return this
    }
    expect(evaluateSource(portable(self))()).to.equal(undefined)
  })

  it('restores the mark of acceptBatch', () => {
    const mark = Symbol.for('shoal.acceptsBatch')
    const marked = Object.assign((list: unknown) => list, { [mark]: true })
    expect((evaluateSource(portable(marked)) as { [mark]?: boolean })[mark]).to.equal(true)
  })

  it('resolves packages and relative files from the deploying file, in a worker that lies elsewhere', async () => {
    const target = async () => [
      (await import('chai')).expect.name,
      (await import('../matrix/by-value/extra.ts')).factor,
      (await import('node:path')).posix.basename('/a/b'),
    ]
    for (const filename of [HERE, import.meta.url]) {
      expect((await runInWorker({ portable: portable(target), options: { filename } })).value).to.deep.equal(['expect', 10, 'b'])
    }
  })

  it('shows line and column of the deploying file in the stack traces of a worker', async () => {
    // biome-ignore format: the throw stands behind types that are removed
    const target = (request: { readonly data: string }): never => { throw new RangeError(request.data) }
    const method = {
      async fails(request: { readonly data: string }): Promise<never> {
        await undefined
        throw new EvalError(request.data)
      },
    }.fails
    // biome-ignore format: the throw stands in the first line of a method
    const short = { fails(request: { readonly data: string }): never { throw new SyntaxError(request.data) } }.fails
    for (const [failing, thrown] of [
      [short, 'SyntaxError'],
      [target, 'RangeError'],
      [method, 'EvalError'],
    ] as const) {
      const source = portable(failing)
      const options = { filename: HERE, ...locateSource(source, HERE) }
      const { stack } = await runInWorker({ portable: source, options, request: { data: 'x' } })
      expect(topFrame(stack)).to.equal(`${HERE}:${placeOf(thrown)}`)
    }
  })

  it('marks the file of a target that was not found in it', async () => {
    const source = portable(new Function('throw new Error("x")') as () => never)
    expect(locateSource(source, HERE)).to.equal(undefined)
    const { stack } = await runInWorker({ portable: source, options: { filename: HERE } })
    expect(topFrame(stack).startsWith(`${HERE}#anonymous:`)).to.equal(true)
  })

  it('prints the warning of Node about import(), unless it is silenced', async () => {
    const run = { portable: portable(async () => (await import('node:os')).EOL), options: { filename: HERE } }
    expect((await runInWorker({ ...run, silent: false })).stderr).to.include('ExperimentalWarning')
    expect((await runInWorker(run)).stderr).to.equal('')
  })
})

describe('silenceImportWarning', () => {
  it('lets every other warning pass, and itself be undone', () => {
    const { emitWarning } = process
    const seen: unknown[] = []
    process.emitWarning = (warning: string | Error) => void seen.push(warning)
    try {
      const restore = silenceImportWarning()
      process.emitWarning('vm.USE_MAIN_CONTEXT_DEFAULT_LOADER is an experimental feature')
      process.emitWarning('another')
      restore()
      process.emitWarning('USE_MAIN_CONTEXT_DEFAULT_LOADER')
    } finally {
      process.emitWarning = emitWarning
    }
    expect(seen).to.deep.equal(['another', 'USE_MAIN_CONTEXT_DEFAULT_LOADER'])
  })
})

describe('locateText', () => {
  it('counts lines and columns from 0', () => {
    expect(locateText('b', 'a\n  b')).to.deep.equal({ lineOffset: 1, columnOffset: 2 })
  })

  it('gives nothing for a text that is not there or there twice', () => {
    expect([locateText('x', 'a'), locateText('a', 'aba')]).to.deep.equal([undefined, undefined])
  })
})

describe('callerFile', () => {
  function deploy(): string | undefined {
    return callerFile(deploy)
  }

  it('names the file that called a function', () => expect(fromUrl(deploy())).to.equal(HERE))

  it('names it from an async function, before its first await', async () => {
    const deployLater = async (): Promise<string | undefined> => callerFile(deployLater)
    expect(fromUrl(await deployLater())).to.equal(HERE)
  })

  it('passes over code without a file', () => {
    expect(fromUrl(new Function('deploy', 'return deploy()')(deploy))).to.equal(HERE)
  })

  it('leaves stack traces as they were', () => {
    const before = [Error.prepareStackTrace, Error.stackTraceLimit]
    deploy()
    expect([Error.prepareStackTrace, Error.stackTraceLimit]).to.deep.equal(before)
  })
})

describe('NODE_WORKER_GLOBALS', () => {
  it('is what a worker thread has', async function () {
    if (Number(process.versions.node.split('.')[0]) !== 24) this.skip()
    const program = `import { parentPort } from 'node:worker_threads'; parentPort.postMessage(Object.getOwnPropertyNames(globalThis))`
    const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(program)}`), { execArgv: [] })
    const names = await new Promise<string[]>((resolve, reject) => worker.once('message', resolve).once('error', reject))
    expect([...NODE_WORKER_GLOBALS].sort()).to.deep.equal(names.sort())
  })
})

function fromUrl(file: string | undefined): string | undefined {
  return file?.startsWith('file:') ? fileURLToPath(file) : file
}

/** `line:column`, from 1, of the only place where this file makes an error of a class. */
function placeOf(errorClass: string): string {
  const at = locateText(`new ${errorClass}`, readFileSync(HERE, 'utf8'))
  return at === undefined ? 'nowhere' : `${at.lineOffset + 1}:${at.columnOffset + 1}`
}
