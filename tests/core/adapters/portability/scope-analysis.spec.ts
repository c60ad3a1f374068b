import { parse } from 'acorn'
import { expect } from 'chai'
import { analyzeScopes } from '../../../../core/adapters/portability/scope-analysis.ts'

/** Source text, then every name it leaves free, in order of first use. */
const SHAPES: readonly (readonly [source: string, free: string])[] = [
  ['x', 'x'],
  ['x = 1', 'x'],
  ['x++; --y', 'x y'],
  ['a.b.c', 'a'],
  ['a?.b?.[c]?.(d)', 'a c d'],
  ['a[b]', 'a b'],
  ['new A(b)', 'A b'],
  ['({ a, b: c, [d]: e, "f": 1, g() { return h } })', 'a c d e h'],
  ['({ get a() { return b }, set a(v) { c = v } })', 'b c'],
  ['[a, ...b, , c]', 'a b c'],
  ['f(...args)', 'f args'],
  [template('`a @{b} @{`c @{d}`}`'), 'b d'],
  [template('tag`x @{y}`'), 'tag y'],
  ['typeof x', ''],
  ['typeof (x)', ''],
  ['typeof x.y', 'x'],
  ['typeof x !== "undefined" && x.y', 'x'],
  ['delete a.b; void c', 'a c'],
  ['var x = y; x', 'y'],
  ['x; var x', ''],
  ['x; { var x }', ''],
  ['{ let x } x', 'x'],
  ['{ const x = 1; x }', ''],
  ['{ class X {} X } X', 'X'],
  ['{ function f() {} } f', 'f'],
  ['f(); function f() { g() }', 'g'],
  ['const { a, b: c, [d]: e, ...f } = g; a; b; c; e; f', 'd g b'],
  ['const [a, , b = c, ...[h]] = g; a; b; h', 'c g'],
  ['const { a = b, c: { d = e } = {} } = f; a; d', 'b e f'],
  ['({ a, b: c = d, ...e.f } = g)', 'a c d e g'],
  ['[a, b.c, ...d] = e', 'a b d e'],
  ['for (const x of xs) x', 'xs'],
  ['for (let i = 0; i < n; i++) i; i', 'n i'],
  ['for (var i in o); i', 'o'],
  ['for (x of y);', 'x y'],
  ['for (const [k, v] of m) { k; v; w }', 'm w'],
  ['try { a } catch (e) { e; b } finally { e }', 'a b e'],
  ['try {} catch ({ message, cause: { code } }) { message; code; cause }', 'cause'],
  ['try {} catch { e }', 'e'],
  ['try {} catch (e) { var v } v', ''],
  ['switch (a) { case b: let c; c; break; default: d } c', 'a b d c'],
  ['label: for (;;) { continue label; break label }', ''],
  ['(a, b = a, { c, d = e }, [f], ...g) => a + b + c + d + f + g', 'e'],
  ['(a = () => b, b) => a', ''],
  ['(a = x) => { var x; return a }', 'x'],
  ['function f(a = arguments) { return [f, arguments, a] }', ''],
  ['() => arguments', 'arguments'],
  ['(function named() { return named }); named', 'named'],
  ['(function named(named) { return named })', ''],
  ['const fact = (n) => fact(n - 1)', ''],
  ['(async function* () { for await (const x of y()) yield* z(x) })', 'y z'],
  ['async () => { await a; await using b = c; using d = b }', 'a c'],
  ['(class A extends B { a = c; static d = A })', 'B c'],
  ['(class A extends mix(B, A) {})', 'mix B'],
  ['(class { [a]() { return b } static [c] = d; get e() { return f } })', 'a b c d f'],
  ['(class { #p = a; m(o) { return #p in o && this.#p } })', 'a'],
  ['(class { static { var v = a; let w = v; this.x = w } }); v', 'a v'],
  ['(class { constructor(x = y) { this.x = x } })', 'y'],
  ['(class { a; b = this.a; c = () => this.b })', ''],
  ['class A { static make() { return new A() } } new A()', ''],
  ['(class A {}); A', 'A'],
  ['(function () { if (1) { let a; { function b() { return a } } } })', ''],
  ['import a, { b as c } from "m"; import * as d from "n"; a; b; c; d', 'b'],
  ['export const a = b; export { a as c }; export default d', 'b d'],
  ['import(a)', 'a'],
  ['import("a", { with: b })', 'b'],
  ['a ?? (b ||= c) ** d', 'a b c d'],
  ['a ? b : c, d', 'a b c d'],
  ['/a(?<b>c)/v.test(d)', 'd'],
  ['(() => { return a; function a() {} })()', ''],
  ['((a) => (b) => (c) => a + b + c + d)', 'd'],
  ['do { var a = b } while (a); while (c) d; if (e) f; else g', 'b c d e f g'],
  ['throw a', 'a'],
  ['(function f() { "use strict"; { function g() {} } g })', 'g'],
]

/** Writes a placeholder as `@{…}`, which no linter takes for a mistaken quote. */
function template(source: string): string {
  return source.replaceAll('@', '$')
}

function analyze(source: string, sourceType: 'module' | 'script' = 'module') {
  const program = parse(source, { ecmaVersion: 'latest', sourceType, allowAwaitOutsideFunction: true, checkPrivateFields: false })
  return analyzeScopes(program, { strict: sourceType === 'module' })
}

describe('scope analysis', () => {
  for (const [source, free] of SHAPES) {
    it(`finds ${free || 'nothing'} free in ${source}`, () => {
      expect(analyze(source).freeNames.map(({ name }) => name)).to.deep.equal(free === '' ? [] : free.split(' '))
    })
  }

  it('lets a plain function out of its block in sloppy code only', () => {
    const source = '{ function f() {} } f'
    expect(analyze(source, 'script').freeNames).to.deep.equal([])
    expect(analyze(source, 'module').freeNames).to.have.length(1)
  })

  it('keeps an async function inside its block in sloppy code too', () => {
    expect(analyze('{ async function f() {} } f', 'script').freeNames).to.have.length(1)
  })

  it('tells a superclass from another captured name', () => {
    expect(analyze('(class extends A { x = b })').freeNames.map((free) => free.isSuperclass)).to.deep.equal([true, false])
  })

  it('tells a call that wraps an import()', () => {
    expect(analyze('p(async () => (await import("./a.js")).x, []); q(() => 1)').freeNames.map((free) => free.wrapsImport)).to.deep.equal([
      true,
      false,
    ])
  })

  it('ties only a this outside every function of its own', () => {
    expect(analyze('(function () { return () => this }); (class { a = this; static { this } })').ties).to.deep.equal([])
    expect(analyze('() => () => this').ties).to.deep.equal(['this'])
    expect(analyze('(class { [this.x] = 1 })').ties).to.deep.equal(['this'])
  })

  it('ties eval called by its name, not a declared eval or one called through a value', () => {
    expect(analyze('eval("x")').ties).to.deep.equal(['eval'])
    expect(analyze('(0, eval)("x"); eval?.("x")').ties).to.deep.equal([])
    expect(analyze('(eval) => eval("x")', 'script').ties).to.deep.equal([])
  })

  it('ties import.meta and with', () => {
    expect(analyze('import.meta.url').ties).to.deep.equal(['import.meta'])
    expect(analyze('with (a) b', 'script').ties).to.deep.equal(['with'])
  })

  it('reports a private name whose class is not there', () => {
    expect(analyze('(class { #a; m(o) { return o.#a + o.#b } })').freePrivateNames).to.deep.equal(['#b'])
    expect(analyze('(class { #a; b = class { m(o) { return o.#a } } })').freePrivateNames).to.deep.equal([])
  })
})
