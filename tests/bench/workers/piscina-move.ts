import { type PiscinaModule, peer } from '../peers.ts'

const { Piscina } = await peer<PiscinaModule>('piscina')

export function move(bytes: unknown): unknown {
  return Piscina.move(bytes)
}
