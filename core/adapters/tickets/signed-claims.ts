import { base64url, CompactSign, compactVerify, exportJWK, generateKeyPair, importJWK } from 'jose'
import { ServeError } from '../../base/index.ts'
import type { MeshSigner, SignedKind } from '../../mesh/index.ts'

const ALGORITHM = 'EdDSA'
const TYPES: Readonly<Record<SignedKind, string>> = Object.freeze({ ticket: 'shoal-ticket+jwt', peer: 'shoal-peer+jwt' })

/** A mesh key with its private half, which `toSecret` gives for storage. */
export interface MeshKey extends MeshSigner {
  /** The private key: 32 bytes in base64url. Keep it where only the controller reads. */
  toSecret(): string
}

/** A new Ed25519 key, or the one that `toSecret` gave. */
export async function meshKey(secret?: { readonly publicKey: string; readonly privateKey: string }): Promise<MeshKey> {
  const { x, d } = secret === undefined ? await newPair() : { x: secret.publicKey, d: secret.privateKey }
  const key = await importJWK({ kty: 'OKP', crv: 'Ed25519', x, d }, ALGORITHM)
  return {
    publicKey: x,
    toSecret: () => d,
    sign: (kind, claims) =>
      new CompactSign(new TextEncoder().encode(JSON.stringify(claims))).setProtectedHeader({ alg: ALGORITHM, typ: TYPES[kind] }).sign(key),
  }
}

/** The claims, when this key has signed them as this kind. `ERR_TICKET_INVALID`. */
export async function verifySigned(kind: SignedKind, token: string, publicKey: string): Promise<Record<string, unknown>> {
  try {
    requireCanonical(token)
    const key = await importJWK({ kty: 'OKP', crv: 'Ed25519', x: publicKey }, ALGORITHM)
    const { payload, protectedHeader } = await compactVerify(token, key, { algorithms: [ALGORITHM] })
    if (protectedHeader.typ !== TYPES[kind]) throw new TypeError(`it is signed as ${String(protectedHeader.typ)}`)
    return toRecord(payload)
  } catch (cause) {
    throw new ServeError('ERR_TICKET_INVALID', `the signature of a ${kind === 'ticket' ? 'ticket' : 'credential'} does not hold`, { cause })
  }
}

/** What a token claims, unverified. `ERR_TICKET_INVALID` when it is no token. */
export function peekClaims(token: string): Record<string, unknown> {
  try {
    return toRecord(base64url.decode(token.split('.')[1] ?? ''))
  } catch (cause) {
    throw new ServeError('ERR_TICKET_INVALID', 'the text is no ticket', { cause })
  }
}

async function newPair(): Promise<{ x: string; d: string }> {
  const { privateKey } = await generateKeyPair(ALGORITHM, { crv: 'Ed25519', extractable: true })
  const { x = '', d = '' } = await exportJWK(privateKey)
  return { x, d }
}

/** base64url lets the last character of a part vary without changing a byte; one ticket has one text. */
function requireCanonical(token: string): void {
  for (const part of token.split('.')) {
    if (base64url.encode(base64url.decode(part)) !== part) throw new TypeError('a part is not written as it should be')
  }
}

function toRecord(bytes: Uint8Array): Record<string, unknown> {
  const claims: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  if (typeof claims !== 'object' || claims === null) throw new TypeError('no object')
  return claims as Record<string, unknown>
}
