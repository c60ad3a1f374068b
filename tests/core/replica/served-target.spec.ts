import { expect } from 'chai'
import { ACCEPTS_BATCH, isClass, ServedTarget } from '../../../core/replica/index.ts'

class Base {
  inherited(): string {
    return 'base'
  }
  call(): string {
    return 'base call'
  }
}

class Digits extends Base {
  readonly notAMethod = (): string => 'a field'
  static atClass(): void {}
  override call(): string {
    return 'call'
  }
  named(request: unknown): unknown {
    return [this instanceof Digits, request]
  }
  get property(): string {
    return 'a getter'
  }
  init(): void {}
  reconfigure(): void {}
  checkHealth(): void {}
  _hidden(): void {}
  override toString(): string {
    return 'overridden'
  }
}

const code = (work: () => unknown): unknown => {
  try {
    return work()
  } catch (error) {
    return (error as { code: string }).code
  }
}

describe('ServedTarget', () => {
  it('offers the methods of the whole prototype chain below Object, and nothing else', () => {
    expect(new ServedTarget('b', new Digits()).description.methods).to.have.members(['call', 'named', 'inherited', 'toString'])
  })

  it('calls a method on its instance with the one argument', () => {
    expect(new ServedTarget('b', new Digits()).call('named', 'x')).to.deep.equal([true, 'x'])
  })

  it('takes the nearest of overridden methods', () => {
    expect(new ServedTarget('b', new Digits()).call('', 1)).to.equal('call')
  })

  it('has `call` for its default method, and none without it', () => {
    class Other {
      only(): void {}
    }
    expect(code(() => new ServedTarget('b', new Other()).call('', 1))).to.equal('ERR_METHOD_NOT_FOUND')
  })

  for (const name of [
    'init',
    'reconfigure',
    'checkHealth',
    'constructor',
    '_hidden',
    'notAMethod',
    'property',
    'atClass',
    'hasOwnProperty',
  ]) {
    it(`does not let ${name} be called by name`, () => {
      expect(code(() => new ServedTarget('b', new Digits()).call(name, 1))).to.equal('ERR_METHOD_NOT_FOUND')
    })
  }

  it('is a function with no method of any name', () => {
    const target = new ServedTarget('b', (request: unknown) => request)
    expect(target.call('', 5)).to.equal(5)
    expect(code(() => target.call('call', 5))).to.equal('ERR_METHOD_NOT_FOUND')
  })

  describe('batch methods', () => {
    it('are those of static batch', () => {
      class Batched {
        static batch = ['call']
        call(): void {}
        single(): void {}
      }
      const target = new ServedTarget('b', new Batched())
      expect(['', 'call', 'single'].map((name) => target.isBatchMethod(name))).to.deep.equal([true, true, false])
    })

    it('are inherited', () => {
      class Batched {
        static batch = ['call']
        call(): void {}
      }
      class Child extends Batched {}
      expect(new ServedTarget('b', new Child()).isBatchMethod('')).to.equal(true)
    })

    it('are the marked function', () => {
      const marked = Object.assign(() => [], { [ACCEPTS_BATCH]: true })
      expect(new ServedTarget('b', marked).isBatchMethod('')).to.equal(true)
      expect(new ServedTarget('b', () => []).isBatchMethod('')).to.equal(false)
    })

    it('must be there', () => {
      class Wrong {
        static batch = ['cal']
        call(): void {}
      }
      expect(code(() => new ServedTarget('b', new Wrong()))).to.equal('ERR_METHOD_NOT_FOUND')
    })

    it('must be a list', () => {
      class Wrong {
        static batch = 'call'
        call(): void {}
      }
      expect(code(() => new ServedTarget('b', new Wrong()))).to.equal('ERR_INVALID_ARG_TYPE')
    })
  })
})

describe('isClass', () => {
  it('holds for classes only, however they are written', () => {
    const methods = { class() {}, classify() {}, 'class-like'() {} }
    expect([class {}, class Named {}, class extends Base {}].map(isClass)).to.deep.equal([true, true, true])
    const functions = [function named() {}, () => {}, async () => {}, methods.class, methods.classify, methods['class-like']]
    expect(functions.map(isClass)).to.deep.equal([false, false, false, false, false, false])
    expect([undefined, null, 'class', {}].map(isClass)).to.deep.equal([false, false, false, false])
  })
})
