import { expect } from 'chai'
import { checkPortable, rewriteImports } from '../../../../core/adapters/portability/index.ts'
import { isServeError, type ServeError } from '../../../../core/base/index.ts'

const globals = new Set(['Object', 'Math', 'Promise', 'eval', 'EventTarget'])

/** Evaluates an expression out of sight of this file's names. */
function make(expression: string): CallableFunction {
  return new Function(`return (${expression})`)()
}

/** Makes a portable target again, as a replica would. */
function again(portable: { prelude: string; source: string }): (...args: unknown[]) => unknown {
  return new Function(`'use strict';${portable.prelude}return (${portable.source}\n)`)()
}

function refusalOf(target: CallableFunction): ServeError {
  try {
    checkPortable(target, { globals })
  } catch (error) {
    if (isServeError(error, 'ERR_BACKEND_NOT_PORTABLE')) return error
    throw error
  }
  throw new Error('it was accepted')
}

function reasonsOf(target: CallableFunction): string[] {
  return (refusalOf(target).details!.reasons as { kind: string }[]).map(({ kind }) => kind)
}

const REFUSED: readonly (readonly [what: string, target: () => CallableFunction, kinds: readonly string[]])[] = [
  ['a captured name', () => make('() => db.get()'), ['captured']],
  ['a name of one letter', () => make('() => t(1)'), ['minified']],
  ['a captured superclass', () => make('(() => { const Base = class {}; return class A extends Base {} })()'), ['superclass']],
  ['an arrow that calls itself', () => make('(() => { const fact = (n) => n * fact(n - 1); return fact })()'), ['own-name']],
  ['names of a CommonJS file', () => make('() => require("fs")'), ['commonjs']],
  [
    'a lowered class',
    () => make('(() => { let __publicField, _x; return class { constructor() { __publicField(this, _x) } } })()'),
    ['lowered'],
  ],
  ['a lowered spread of SWC', () => make('() => _object_spread({})'), ['lowered']],
  ['a rewritten import', () => make('() => __vi_import_0__.readFile()'), ['rewritten-import']],
  ['an import() wrapped by a bundler', () => make('() => p(() => import("./a.js"), [])'), ['preload']],
  ['a counter of a coverage tool', () => make('() => { cov_1abc().f[0]++ }'), ['coverage']],
  ['the this of its surroundings', () => make('() => this.x'), ['this']],
  ['the arguments of a function around it', () => make('(function () { return () => arguments })()'), ['arguments']],
  ['the new.target of a function around it', () => make('(function () { return () => new.target })()'), ['new.target']],
  ['super in a bare method', () => make('({ m() { return super.m() } }).m'), ['super']],
  ['super in an arrow of a method', () => make('({ m() { return () => super.m() } }).m()'), ['super']],
  ['eval', () => make('(code) => eval(code)'), ['eval']],
  ['with', () => make('function (o) { with (o) { return 1 } }'), ['with']],
  ['a private name of its class', () => make('(class { #a = 1; m() { return this.#a } }).prototype.m'), ['private-name']],
  ['a private method', () => make('(class { #m() {} static of() { return new this().#m } }).of()'), ['private-method']],
  ['a getter', () => make('Object.getOwnPropertyDescriptor({ get a() { return 1 } }, "a").get'), ['accessor']],
  ['a native function', () => Math.max, ['native']],
  ['a Proxy', () => new Proxy(() => 1, {}), ['native']],
  ['a bound function', () => make('(function () {}).bind(1)'), ['bound']],
]

describe('checkPortable', () => {
  for (const [what, target, kinds] of REFUSED) {
    it(`refuses ${what}`, () => expect(reasonsOf(target())).to.deep.equal(kinds))
  }

  it('refuses import.meta by its name', () => {
    expect(reasonsOf(() => import.meta.url)).to.deep.equal(['import.meta'])
  })

  it('names every captured name at once, in order of first use', () => {
    const error = refusalOf(make('(r) => db.get(config.key, r, t, db)'))
    expect(error.details?.names).to.deep.equal(['db', 'config', 't'])
    for (const name of ['db', 'config', 't']) expect(error.message).to.include(name)
  })

  it('tells the ways out', () => {
    const { message } = refusalOf(make('() => db'))
    for (const way of ['initArgs', 'serve.module', "isolation: 'inline'"]) expect(message).to.include(way)
  })

  it('puts the private members of a lowered class with its helpers', () => {
    const target = make('(() => { let __privateAdd, _n; return class { constructor() { __privateAdd(this, _n, 1) } } })()')
    expect(refusalOf(target).details?.names).to.deep.equal(['__privateAdd', '_n'])
    expect(reasonsOf(target)).to.deep.equal(['lowered'])
  })

  it('accepts a name that the target has', () => {
    expect(checkPortable(make('() => Math.max(1, 2)'), { globals: (name) => name === 'Math' }).kind).to.equal('function')
  })

  it('accepts a name under typeof alone', () => {
    expect(checkPortable(make('() => typeof window'), { globals }).prelude).to.equal('')
  })

  it('supplies __name, so names inside stay', () => {
    const portable = checkPortable(make('() => { const g = __name(() => 1, "given"); return g.name }'), { globals })
    expect(portable.prelude).to.include('__name')
    expect(again(portable)()).to.equal('given')
  })

  const METHODS: readonly (readonly [form: string, expression: string])[] = [
    ['a shorthand', '({ twice(n) { return n * 2 } }).twice'],
    ['a quoted name', '({ "a b"(n) { return n * 2 } })["a b"]'],
    ['a computed name', '(() => { const key = "k"; return { [key](n) { return n * 2 } }[key] })()'],
    ['a method of a class', '(class { static twice(n) { return n * 2 } }).twice'],
    ['a method called class', '({ class (n) { return n * 2 } }).class'],
  ]
  for (const [form, expression] of METHODS) {
    it(`makes an expression of ${form}`, () => {
      const portable = checkPortable(make(expression), { globals })
      expect([portable.kind, portable.form]).to.deep.equal(['function', 'method'])
      expect(again(portable)(21)).to.equal(42)
    })
  }

  it('makes an expression of an async generator with a computed name', async () => {
    const portable = checkPortable(make('({ async *["a" + 1]() { yield 1; yield 2 } }).a1'), { globals })
    const parts: unknown[] = []
    for await (const part of again(portable)() as AsyncIterable<unknown>) parts.push(part)
    expect(parts).to.deep.equal([1, 2])
  })

  it('keeps line and column of a method whose key it replaces', () => {
    const portable = checkPortable(make('({ ["long name"](n) {\n  return n } })["long name"]'), { globals })
    expect(portable.source.slice(portable.textOffset).indexOf('(n)')).to.equal('["long name"]'.length)
  })

  it('remembers a class, its name and its form', () => {
    const portable = checkPortable(make('(() => { const Counter = class { call() { return 1 } }; return Counter })()'), { globals })
    expect([portable.kind, portable.form, portable.name]).to.deep.equal(['class', 'class', 'Counter'])
  })

  it('accepts a named function expression that calls itself', () => {
    expect(again(checkPortable(make('function fact(n) { return n < 2 ? 1 : n * fact(n - 1) }'), { globals }))(5)).to.equal(120)
  })

  it('accepts a class on top of a global one', () => {
    expect(checkPortable(make('class A extends EventTarget {}'), { globals }).kind).to.equal('class')
  })

  it('marks code that only sloppy mode can read', () => {
    expect(checkPortable(make('(n) => 010 + n'), { globals }).strict).to.equal(false)
    expect(checkPortable(make('(n) => n'), { globals }).strict).to.equal(true)
  })

  it('carries the mark of acceptBatch', () => {
    const target = Object.assign(make('(list) => list'), { [Symbol.for('shoal.acceptsBatch')]: true })
    expect(checkPortable(target, { globals }).acceptsBatch).to.equal(true)
  })

  it('lists the addresses of import(), literal or not', () => {
    const { imports, source } = checkPortable(make('async (p) => [await import("a"), await import(p)]'), { globals })
    expect(imports.map((one) => one.specifier)).to.deep.equal(['a', undefined])
    expect(imports.map((one) => source.slice(one.start, one.end))).to.deep.equal(['"a"', 'p'])
  })

  it('gives import() other addresses, leaving computed ones', () => {
    const portable = checkPortable(make('({ async m(p) { return [await import(p), import("b"), import(p + 1), import("c")] } }).m'), {
      globals,
    })
    const rewritten = rewriteImports(portable, (specifier) => `https://x.test/${specifier}.js`)
    const slices = rewritten.imports.map((one) => rewritten.source.slice(one.start, one.end))
    expect(slices).to.deep.equal(['p', '"https://x.test/b.js"', 'p + 1', '"https://x.test/c.js"'])
  })
})
