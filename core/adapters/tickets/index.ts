/** Signatures under tickets and credentials. */
export { type MeshKey, meshKey, peekClaims, verifySigned } from './signed-claims.ts'
