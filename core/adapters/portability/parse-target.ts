import { type AnyNode, type Expression, type Options, type Property, parse } from 'acorn'

/** How a function was written. */
export type TargetForm = 'function' | 'arrow' | 'method' | 'class'

/** A target's text, understood. */
export interface ParsedTarget {
  readonly form: TargetForm
  /** The function or class itself; of a method the function without its key. */
  readonly node: AnyNode
  /** Start of `node`'s text in what was parsed: subtract from a node's `start` to get an index into `source`. */
  readonly base: number
  /** An expression that gives the target again. */
  readonly source: string
  /** Where in `source` the text of the target begins. */
  readonly textOffset: number
  /** The text is valid strict code. */
  readonly strict: boolean
}

/** Why a text cannot be an expression on its own. */
export type ParseRefusal = 'accessor' | 'private-method' | 'unreadable'

/** The text is read inside a function, so that `new.target` of an arrow is no syntax error before it can be named. */
const HEAD = '(function(){('
const MEMBER_HEAD = '(function(){({'
const PRIVATE_MEMBER = /^(?:async\s*)?\*?\s*(?:[gs]et\s+)?#/

/**
 * Reads what `Function.prototype.toString` gave: an expression, or else a member of an object literal or class, which is made an expression.
 * The key of a member is only kept when it is a plain name; a computed key is code of the surroundings.
 */
export function parseTarget(text: string): ParsedTarget | ParseRefusal {
  if (PRIVATE_MEMBER.test(text)) return 'private-method'
  for (const strict of [true, false]) {
    const expression = tryParse(HEAD, text, '\n)})', strict)
    if (expression !== undefined) return fromExpression(expression, text, strict)
    const literal = tryParse(MEMBER_HEAD, text, '\n})})', strict)
    if (literal?.type === 'ObjectExpression') return fromMember(literal.properties, text, strict)
  }
  return 'unreadable'
}

function fromExpression(node: Expression, text: string, strict: boolean): ParsedTarget | ParseRefusal {
  const form = formOf(node)
  if (form === undefined) return 'unreadable'
  return { form, node, base: HEAD.length, source: text, textOffset: 0, strict }
}

function fromMember(properties: readonly AnyNode[], text: string, strict: boolean): ParsedTarget | ParseRefusal {
  const member = properties[0]
  if (properties.length !== 1 || member?.type !== 'Property') return 'unreadable'
  if (member.kind !== 'init') return 'accessor'
  if (!member.method) return 'unreadable'
  const key = member.key.type === 'Identifier' && !member.computed && member.key.name !== '__proto__' ? member.key.name : '_'
  const open = '({'
  const method = key === '_' ? withoutKey(member, text) : text
  return {
    form: 'method',
    node: member.value,
    base: MEMBER_HEAD.length - open.length,
    source: `${open}${method}}).${key}`,
    textOffset: open.length,
    strict,
  }
}

/** The method under the key `_`, padded so that everything behind the key keeps its line and column. */
function withoutKey(member: Property, text: string): string {
  const value = member.value as AnyNode & { type: 'FunctionExpression' }
  const start = value.start - MEMBER_HEAD.length
  const head = `${value.async ? 'async ' : ''}${value.generator ? '*' : ''}_`
  const padding = text.slice(head.length, start).replace(/[^\n\r]/g, ' ')
  return head + padding + text.slice(start)
}

function tryParse(head: string, text: string, tail: string, strict: boolean): Expression | undefined {
  const options: Options = {
    ecmaVersion: 'latest',
    sourceType: strict ? 'module' : 'script',
    allowSuperOutsideMethod: true,
    checkPrivateFields: false,
  }
  try {
    const statement = parse(head + text + tail, options).body[0]
    if (statement?.type !== 'ExpressionStatement' || statement.expression.type !== 'FunctionExpression') return undefined
    const inner = statement.expression.body.body
    const only = inner[0]
    return inner.length === 1 && only?.type === 'ExpressionStatement' ? only.expression : undefined
  } catch {
    return undefined
  }
}

function formOf(node: Expression): TargetForm | undefined {
  if (node.type === 'ArrowFunctionExpression') return 'arrow'
  if (node.type === 'FunctionExpression') return 'function'
  return node.type === 'ClassExpression' ? 'class' : undefined
}
