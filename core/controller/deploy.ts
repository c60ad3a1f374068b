import { type AppAction, type AppSpec, planApp } from './app-plan.ts'
import type { Controller } from './controller.ts'
import type { StateEdit } from './state-store.ts'
import { forgetEndpoint, keepDeployed, keepEndpoint } from './stored-state.ts'

/** Takes the steps of a plan: backends side by side, then endpoints in one edit, then what goes. */
export async function deployApp(app: AppSpec, target: Controller['parts']): Promise<void> {
  const { controller, ownedBackends, ownedEndpoints } = target
  const backends = new Map([...target.supervisors].map(([tag, { spec }]) => [tag, spec]))
  const actions = planApp(app, { ...target, backends })
  const save = async (edits: readonly StateEdit[]): Promise<void> => (edits.length === 0 ? undefined : target.store?.put(edits))
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
      await save(done)
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
  await target.edit(() => save([keepDeployed({ backends: [...ownedBackends], endpoints: [...ownedEndpoints] })]))
}

async function doBackend(action: AppAction, { controller, edit, configure }: Controller['parts']): Promise<void> {
  if (action.kind === 'create-backend') await controller.createBackend(action.spec)
  if (action.kind === 'replace-backend') await controller.replaceBackend(action.spec)
  if (action.kind === 'configure-backend') await edit(() => configure(action.tag, action.config))
}
