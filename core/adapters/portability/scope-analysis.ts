import type { AnyNode, Class, Function as FunctionNode, ImportExpression, Pattern } from 'acorn'

/** A syntactic tie to the surroundings that no list of names shows. */
export type OuterTie = 'this' | 'super' | 'new.target' | 'import.meta' | 'eval' | 'with'

/** A name that nothing inside the analysed source declares. */
export interface FreeName {
  readonly name: string
  /** Some class of the source extends it. */
  readonly isSuperclass: boolean
  /** It is called with a function around an `import()`, as the preload helpers of bundlers are. */
  readonly wrapsImport: boolean
}

/** What a piece of source takes from around it. Names and ties are in order of first use. */
export interface ScopeReport {
  /** `arguments` among them when it stands outside every function that has its own. A name under `typeof` alone is not. */
  readonly freeNames: readonly FreeName[]
  readonly ties: readonly OuterTie[]
  /** Private names, with their `#`, of a class that is not part of the source. */
  readonly freePrivateNames: readonly string[]
  readonly imports: readonly ImportExpression[]
}

interface Scope {
  readonly names: Set<string>
  readonly parent: Scope | undefined
  /** `var` stops here. */
  readonly holdsVar: boolean
}

/** Where a node stands. */
interface Place {
  readonly scope: Scope
  /** A function of the source's own gives `this` and `new.target`. */
  readonly hasThis: boolean
  readonly hasSuper: boolean
  readonly privateNames: readonly ReadonlySet<string>[]
}

interface Reference {
  readonly name: string
  readonly scope: Scope
  use: 'plain' | 'superclass' | 'direct-eval' | 'import-wrapper'
}

/**
 * Finds what `root` takes from outside. Scopes are those of ECMAScript 2026: parameters apart from the body, block functions hoisted out of
 * their block in sloppy code only, a function or class expression's own name inside itself. References are resolved after the whole walk, so
 * declarations may come later. Names that code makes at run time (direct `eval`, `with`) cannot be followed and are reported as ties.
 * @param root a program, or an expression that stands alone
 */
export function analyzeScopes(root: AnyNode, options: { readonly strict: boolean }): ScopeReport {
  const references: Reference[] = []
  const ties = new Set<OuterTie>()
  const freePrivateNames = new Set<string>()
  const imports: ImportExpression[] = []
  const top = newScope(undefined, true)
  visit(root, { scope: top, hasThis: false, hasSuper: false, privateNames: [] })

  const free = new Map<string, FreeName>()
  for (const { name, scope, use } of references) {
    if (isDeclared(name, scope)) continue
    if (use === 'direct-eval') ties.add('eval')
    const before = free.get(name)
    free.set(name, {
      name,
      isSuperclass: use === 'superclass' || before?.isSuperclass === true,
      wrapsImport: use === 'import-wrapper' || before?.wrapsImport === true,
    })
  }
  return { freeNames: [...free.values()], ties: [...ties], freePrivateNames: [...freePrivateNames], imports }

  function visit(node: AnyNode, place: Place): void {
    switch (node.type) {
      case 'Identifier':
        references.push({ name: node.name, scope: place.scope, use: 'plain' })
        return
      case 'PrivateIdentifier':
        if (!place.privateNames.some((names) => names.has(node.name))) freePrivateNames.add(`#${node.name}`)
        return
      case 'ThisExpression':
        if (!place.hasThis) ties.add('this')
        return
      case 'Super':
        if (!place.hasSuper) ties.add('super')
        return
      case 'MetaProperty':
        if (node.meta.name === 'import') ties.add('import.meta')
        else if (!place.hasThis) ties.add('new.target')
        return
      case 'UnaryExpression':
        if (node.operator === 'typeof' && node.argument.type === 'Identifier') return
        visit(node.argument, place)
        return
      case 'MemberExpression':
        visit(node.object, place)
        if (node.computed || node.property.type === 'PrivateIdentifier') visit(node.property, place)
        return
      case 'Property':
        if (node.computed) visit(node.key, place)
        if (node.method || node.kind !== 'init') visitFunction(node.value as FunctionNode, place, true)
        else visit(node.value, place)
        return
      case 'CallExpression':
        visitCall(node, place)
        return
      case 'ImportExpression':
        imports.push(node)
        visitChildren(node, place)
        return
      case 'FunctionDeclaration':
        if (node.id !== null) declareFunction(node, place.scope)
        visitFunction(node, place, false)
        return
      case 'FunctionExpression':
      case 'ArrowFunctionExpression':
        visitFunction(node, place, false)
        return
      case 'ClassDeclaration':
        if (node.id !== null) place.scope.names.add(node.id.name)
        visitClass(node, place)
        return
      case 'ClassExpression':
        visitClass(node, place)
        return
      case 'VariableDeclaration': {
        const target = node.kind === 'var' ? varScope(place.scope) : place.scope
        for (const { id, init } of node.declarations) {
          bind(id, target, place)
          if (init) visit(init, place)
        }
        return
      }
      case 'BlockStatement':
      case 'ForStatement':
      case 'ForInStatement':
      case 'ForOfStatement':
        visitChildren(node, inside(place, newScope(place.scope, false)))
        return
      case 'SwitchStatement': {
        visit(node.discriminant, place)
        const cases = inside(place, newScope(place.scope, false))
        for (const one of node.cases) visit(one, cases)
        return
      }
      case 'CatchClause': {
        const caught = inside(place, newScope(place.scope, false))
        if (node.param) bind(node.param, caught.scope, caught)
        visit(node.body, caught)
        return
      }
      case 'LabeledStatement':
        visit(node.body, place)
        return
      case 'BreakStatement':
      case 'ContinueStatement':
        return
      case 'WithStatement':
        ties.add('with')
        visitChildren(node, place)
        return
      case 'ImportDeclaration':
        for (const { local } of node.specifiers) place.scope.names.add(local.name)
        return
      case 'ExportSpecifier':
        visit(node.local, place)
        return
      case 'ExportNamedDeclaration':
        if (node.declaration) visit(node.declaration, place)
        if (!node.source) for (const one of node.specifiers) visit(one, place)
        return
      case 'ExportAllDeclaration':
        return
      default:
        visitChildren(node, place)
        return
    }
  }

  function visitChildren(node: AnyNode, place: Place): void {
    for (const value of Object.values(node)) {
      for (const child of Array.isArray(value) ? value : [value]) if (isNode(child)) visit(child, place)
    }
  }

  function visitCall(node: AnyNode & { type: 'CallExpression' }, place: Place): void {
    const { callee } = node
    if (callee.type === 'Identifier' && callee.name === 'eval' && !node.optional) {
      references.push({ name: 'eval', scope: place.scope, use: 'direct-eval' })
    } else if (callee.type === 'Identifier') {
      const reference: Reference = { name: callee.name, scope: place.scope, use: 'plain' }
      references.push(reference)
      const importsBefore = imports.length
      if (node.arguments[0]?.type === 'ArrowFunctionExpression') visit(node.arguments[0], place)
      if (imports.length > importsBefore) reference.use = 'import-wrapper'
      for (const argument of node.arguments)
        if (argument !== node.arguments[0] || argument.type !== 'ArrowFunctionExpression') visit(argument, place)
      return
    } else {
      visit(callee, place)
    }
    for (const argument of node.arguments) visit(argument, place)
  }

  function visitFunction(node: FunctionNode, place: Place, isMethod: boolean): void {
    const isArrow = node.type === 'ArrowFunctionExpression'
    let outer = place.scope
    if (node.type === 'FunctionExpression' && node.id) {
      outer = newScope(outer, false)
      outer.names.add(node.id.name)
    }
    const params = newScope(outer, true)
    if (!isArrow) params.names.add('arguments')
    const own = isArrow ? inside(place, params) : { ...place, scope: params, hasThis: true, hasSuper: isMethod }
    for (const param of node.params) bind(param, params, own)
    const body = inside(own, newScope(params, true))
    if (node.body.type === 'BlockStatement') for (const statement of node.body.body) visit(statement, body)
    else visit(node.body, body)
  }

  function visitClass(node: Class, place: Place): void {
    const named = newScope(place.scope, false)
    if (node.id) named.names.add(node.id.name)
    if (node.superClass?.type === 'Identifier') references.push({ name: node.superClass.name, scope: named, use: 'superclass' })
    else if (node.superClass) visit(node.superClass, inside(place, named))

    const members = node.body.body
    const privates = new Set(members.flatMap((one) => ('key' in one && one.key.type === 'PrivateIdentifier' ? [one.key.name] : [])))
    const body = { ...inside(place, named), privateNames: [...place.privateNames, privates] }
    for (const member of members) {
      if (member.type !== 'StaticBlock' && member.computed) visit(member.key, body)
      const within = { ...body, scope: newScope(named, true), hasThis: true, hasSuper: true }
      if (member.type === 'StaticBlock') for (const statement of member.body) visit(statement, within)
      else if (member.type === 'MethodDefinition') visitFunction(member.value, body, true)
      else if (member.value) visit(member.value, within)
    }
  }

  /** Declares the names of a binding pattern; defaults and computed keys are references. */
  function bind(pattern: Pattern, target: Scope, place: Place): void {
    switch (pattern.type) {
      case 'Identifier':
        target.names.add(pattern.name)
        return
      case 'ArrayPattern':
        for (const element of pattern.elements) if (element) bind(element, target, place)
        return
      case 'ObjectPattern':
        for (const property of pattern.properties) {
          if (property.type === 'RestElement') {
            bind(property.argument, target, place)
          } else {
            if (property.computed) visit(property.key, place)
            bind(property.value, target, place)
          }
        }
        return
      case 'AssignmentPattern':
        bind(pattern.left, target, place)
        visit(pattern.right, place)
        return
      case 'RestElement':
        bind(pattern.argument, target, place)
        return
      case 'MemberExpression':
        visit(pattern, place)
        return
    }
  }

  /** Annex B.3.3: in sloppy code a plain function of a block is a `var` of its function as well. */
  function declareFunction(node: FunctionNode, scope: Scope): void {
    const name = node.id?.name ?? ''
    scope.names.add(name)
    if (!options.strict && !node.async && !node.generator) varScope(scope).names.add(name)
  }
}

function newScope(parent: Scope | undefined, holdsVar: boolean): Scope {
  return { names: new Set(), parent, holdsVar }
}

function inside(place: Place, scope: Scope): Place {
  return { ...place, scope }
}

function varScope(scope: Scope): Scope {
  let at = scope
  while (!at.holdsVar && at.parent !== undefined) at = at.parent
  return at
}

function isDeclared(name: string, scope: Scope): boolean {
  for (let at: Scope | undefined = scope; at !== undefined; at = at.parent) if (at.names.has(name)) return true
  return false
}

function isNode(value: unknown): value is AnyNode {
  return typeof value === 'object' && value !== null && typeof (value as { type?: unknown }).type === 'string'
}
