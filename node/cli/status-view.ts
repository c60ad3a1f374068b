import type { InstanceStatus } from '../../core/api/index.ts'
import { bad, bold, dim, good, table } from './output.ts'

/** What `shoal status` shows to people. */
export function viewStatus(status: InstanceStatus, url: string | undefined): string {
  const nodes = Object.entries(status.nodes)
  const title = `${bold(nodes[0]?.[1].name ?? 'shoal')}  ${url ?? dim('no gateway')}`
  return [title, viewBackends(status), viewEndpoints(status), viewNodes(status)].join('\n\n')
}

function viewBackends({ backends }: InstanceStatus): string {
  const entries = Object.entries(backends)
  if (entries.length === 0) return `${bold('backends')}  ${dim('none')}`
  const rows = entries.map(([tag, { wanted, ready, starting, draining, queued, ongoing, crashLooping, ...rest }]) => {
    const { calls } = rest as { readonly calls?: { readonly succeeded?: number; readonly failed?: number } }
    const state = crashLooping ? 'crash looping' : ready >= wanted ? 'ready' : starting > 0 ? 'starting' : ready > 0 ? 'short' : 'down'
    const more = draining > 0 ? `, ${draining} draining` : ''
    return [
      tag,
      `${ready}/${wanted}`,
      String(ongoing),
      String(queued),
      String(calls?.succeeded ?? 0),
      String(calls?.failed ?? 0),
      state + more,
    ]
  })
  const text = table([['backend', 'ready', 'ongoing', 'queued', 'answered', 'failed', 'state'], ...rows], [1, 2, 3, 4, 5])
  // Colours come last: they have no width.
  return text.replaceAll(/(crash looping|down|short)(?=$|,)/gm, (word) => bad(word)).replaceAll(/ready(?=$|,)/gm, (word) => good(word))
}

function viewEndpoints({ endpoints }: InstanceStatus): string {
  const entries = Object.entries(endpoints)
  if (entries.length === 0) return `${bold('endpoints')}  ${dim('none')}`
  const rows = entries.map(([name, { route, methods, traffic, shadows, received }]) => {
    const shares = Object.entries(traffic).map(([tag, weight]) => `${tag} ${percent(weight)}`)
    const copies = Object.entries(shadows).map(([tag, proportion]) => `copy to ${tag} ${percent(proportion)}`)
    return [name, route ?? 'by handle', route === null ? '' : methods.join(' '), [...shares, ...copies].join(', '), String(received)]
  })
  return table([['endpoint', 'route', 'methods', 'traffic', 'received'], ...rows], [4])
}

function viewNodes({ nodes, backends }: InstanceStatus): string {
  const all = Object.values(backends).reduce((sum, { ready, starting, draining }) => sum + ready + starting + draining, 0)
  const elsewhere = Object.values(nodes).reduce((sum, { replicas = 0 }) => sum + replicas, 0)
  const rows = Object.entries(nodes).map(([id, { name, runtime, roles, rttMs, resources, replicas = Math.max(0, all - elsewhere) }]) => {
    const memory = resources.memoryBytes === undefined ? '' : `${(resources.memoryBytes / 2 ** 30).toFixed(1)} GiB`
    return [name, id, runtime, roles.join(' '), String(replicas), String(resources.cpu ?? 0), memory, `${rttMs.toFixed(1)} ms`]
  })
  return table([['node', 'id', 'runtime', 'roles', 'replicas', 'cpu', 'memory', 'rtt'], ...rows], [4, 5, 6, 7])
}

const percent = (share: number): string => `${Math.round(share * 10_000) / 100} %`
