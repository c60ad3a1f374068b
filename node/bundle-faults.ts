/** Something in a file that holds only where the file lies. */
export interface Unportable {
  readonly what: string
  /** Counts from 1. */
  readonly line: number
}

/** Files without any of this need not be read. */
export const MAY_BE_UNPORTABLE: RegExp = /\bimport\s*\(|\bimport\s*\.\s*meta\b|\brequire\s*\(|\bcreateRequire\b|\b__(?:dir|file)name\b/

/** How authors tell bundlers that they know what they do with an `import()`. */
const IGNORE_COMMENT = /\/\*\s*(?:@vite-ignore|webpackIgnore\s*:\s*true)\s*\*\//

const OWN_PLACE: ReadonlySet<unknown> = new Set(['dirname', 'filename', 'resolve'])

interface SyntaxNode {
  readonly type: string
  readonly start: number
  readonly end: number
  readonly [field: string]: unknown
}

/**
 * Finds what a bundle would break: `import()` of an address that is known only at run time and, in the deployer's own code, `require()` of one and
 * everything that asks where the file lies, but for `new URL('./file', import.meta.url)`. Packages are not judged by the latter: they carry such code for
 * places where they are not bundled.
 * @param mayLieBeside whether a relative address is a file that a bundle can have beside it; undefined for a package
 */
export function findUnportable(
  program: object,
  text: string,
  mayLieBeside: ((specifier: string) => boolean) | undefined,
): readonly Unportable[] {
  const found: Unportable[] = []
  walk(program as SyntaxNode, (node) => {
    const own = mayLieBeside === undefined ? undefined : (dynamicRequire(node) ?? ownPlace(node) ?? fileBeside(node, mayLieBeside))
    const what = dynamicImport(node, text) ?? own
    if (what !== undefined) found.push({ what, line: text.slice(0, node.start).split('\n').length })
  })
  return found
}

function dynamicImport(node: SyntaxNode, text: string): string | undefined {
  if (node.type !== 'ImportExpression' || isText(node.source)) return undefined
  return IGNORE_COMMENT.test(text.slice(node.start, node.end)) ? undefined : 'an import() whose address is no literal'
}

function dynamicRequire({ type, callee, arguments: given }: SyntaxNode): string | undefined {
  if (type !== 'CallExpression' || !isNamed(callee, 'require')) return undefined
  return isText((given as readonly unknown[])[0]) ? undefined : 'a require() whose address is no literal'
}

function ownPlace({ type, object, property, callee, name }: SyntaxNode): string | undefined {
  if (type === 'CallExpression' && isNamed(callee, 'createRequire')) return 'createRequire(), which loads what is no part of the bundle'
  if (type === 'Identifier' && (name === '__dirname' || name === '__filename')) return `${name}, which is another folder on a peer`
  if (type !== 'MemberExpression' || (object as SyntaxNode).type !== 'MetaProperty') return undefined
  const { name: asked } = property as SyntaxNode
  return OWN_PLACE.has(asked) ? `import.meta.${String(asked)}, which is another place on a peer` : undefined
}

function fileBeside({ type, callee, arguments: given }: SyntaxNode, mayLieBeside: (specifier: string) => boolean): string | undefined {
  if (type !== 'NewExpression' || !isNamed(callee, 'URL')) return undefined
  const [address, base] = given as readonly unknown[]
  if (!isNode(base) || base.type !== 'MemberExpression' || (base.object as SyntaxNode).type !== 'MetaProperty') return undefined
  if (!isNode(address) || address.type !== 'Literal') return 'a new URL() beside the file whose address is no literal'
  const specifier = String(address.value)
  if (URL.canParse(specifier) || mayLieBeside(specifier)) return undefined
  return `new URL('${specifier}'), which names no file that could lie beside a bundle,`
}

function walk(node: SyntaxNode, visit: (node: SyntaxNode) => void): void {
  const waiting: unknown[] = [node]
  while (waiting.length > 0) {
    const next = waiting.pop()
    if (Array.isArray(next)) waiting.push(...next)
    else if (isNode(next)) {
      visit(next)
      waiting.push(...Object.values(next))
    }
  }
}

const isNode = (value: unknown): value is SyntaxNode =>
  typeof value === 'object' && value !== null && typeof (value as { type?: unknown }).type === 'string'

const isNamed = (value: unknown, name: string): boolean => isNode(value) && value.type === 'Identifier' && value.name === name

/** A literal, or a template without anything to fill in. */
function isText(value: unknown): boolean {
  if (!isNode(value)) return false
  if (value.type === 'Literal') return typeof value.value === 'string'
  return value.type === 'TemplateLiteral' && (value.expressions as readonly unknown[]).length === 0
}
