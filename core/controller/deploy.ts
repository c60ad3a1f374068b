import type { EndpointEntry, ResolvedBackendConfig } from '../model/index.ts'
import { type AppAction, type AppSpec, type Deployed, planApp } from './app-plan.ts'
import type { Controller } from './controller.ts'
import type { StateEdit } from './state-store.ts'
import { forgetEndpoint, keepDeployed, keepEndpoint } from './stored-state.ts'

/** What there is, and how it is changed. */
export interface DeployTarget extends Deployed {
  readonly controller: Pick<Controller, 'createBackend' | 'replaceBackend' | 'deleteBackend'>
  readonly ownedBackends: Set<string>
  readonly ownedEndpoints: Set<string>
  /** Edits one after the other. */
  edit(work: () => Promise<void>): Promise<void>
  configure(tag: string, config: ResolvedBackendConfig): Promise<void>
  putEndpoint(entry: EndpointEntry): void
  removeEndpoint(name: string): void
  save(edits: readonly StateEdit[]): Promise<void>
}

/** Takes the steps of a plan: backends side by side, then endpoints in one edit, then what goes. */
export async function deployApp(app: AppSpec, target: DeployTarget): Promise<void> {
  const { controller, ownedBackends, ownedEndpoints } = target
  const actions = planApp(app, target)
  await Promise.all(actions.map((action) => doBackend(action, target)))
  await target.edit(async () => {
    const done: StateEdit[] = []
    try {
      for (const action of actions) {
        if (action.kind === 'delete-endpoint') target.removeEndpoint(action.name)
        if (action.kind === 'put-endpoint') target.putEndpoint(action.entry)
        if (action.kind === 'delete-endpoint') done.push(forgetEndpoint(action.name))
        if (action.kind === 'put-endpoint') done.push(keepEndpoint(action.entry))
      }
    } finally {
      await target.save(done)
    }
  })
  for (const { tag } of app.backends) ownedBackends.add(tag)
  for (const { name } of app.endpoints) ownedEndpoints.add(name)
  for (const action of actions) {
    if (action.kind === 'delete-endpoint') ownedEndpoints.delete(action.name)
    if (action.kind !== 'delete-backend') continue
    ownedBackends.delete(action.tag)
    await controller.deleteBackend(action.tag)
  }
  await target.edit(() => target.save([keepDeployed({ backends: [...ownedBackends], endpoints: [...ownedEndpoints] })]))
}

async function doBackend(action: AppAction, { controller, edit, configure }: DeployTarget): Promise<void> {
  if (action.kind === 'create-backend') await controller.createBackend(action.spec)
  if (action.kind === 'replace-backend') await controller.replaceBackend(action.spec)
  if (action.kind === 'configure-backend') await edit(() => configure(action.tag, action.config))
}
