import { SILENT } from '../../core/base/index.ts'
import { MemoryStateStore } from '../../core/controller/index.ts'
import { ControllerGroup, type GroupEvent, type GroupMessage, type GroupSeat } from '../../core/mesh/index.ts'
import { FakeClock, settle } from './fake-clock.ts'

/** Controllers in this thread whose connections a test makes, holds back and cuts. */
export class GroupBench {
  readonly clock = new FakeClock()
  readonly groups = new Map<string, ControllerGroup>()
  readonly events = new Map<string, GroupEvent[]>()
  /** What is kept of each, whatever becomes of the controller. */
  readonly disks = new Map<string, Map<string, unknown>>()
  /** A message from the first to the second for which this is false is lost. */
  passes: (from: string, to: string, message: GroupMessage) => boolean = () => true
  readonly #seats = new Map<string, GroupSeat>()

  /** Starts a controller; `c0` is the founder. */
  async start(id: string): Promise<ControllerGroup> {
    const disk = this.disks.get(id) ?? new Map<string, unknown>()
    this.disks.set(id, disk)
    const events: GroupEvent[] = []
    const group = new ControllerGroup(
      { controllerId: id, store: new MemoryStateStore(disk), isFounder: id === 'c0', onEvent: (event) => events.push(event) },
      this.clock,
      () => 0.5,
      SILENT,
    )
    this.groups.set(id, group)
    this.events.set(id, events)
    await group.open()
    return group
  }

  async connect(a: string, b: string): Promise<void> {
    const attach = (from: string, to: string): void => {
      const send = (message: GroupMessage): void => {
        if (this.passes(from, to, message)) queueMicrotask(() => this.#seats.get(`${to}<${from}`)?.receive(structuredClone(message)))
      }
      this.#seats.set(`${from}<${to}`, this.group(from).attach(to, send))
    }
    attach(a, b)
    attach(b, a)
    await settle(3)
  }

  async cut(a: string, b: string): Promise<void> {
    this.#seats.get(`${a}<${b}`)?.detach()
    this.#seats.get(`${b}<${a}`)?.detach()
    await settle()
  }

  group(id: string): ControllerGroup {
    const group = this.groups.get(id)
    if (group === undefined) throw new Error(`no controller ${id}`)
    return group
  }

  /** Two controllers that know each other, of which `c0` acts. */
  static async pair(): Promise<GroupBench> {
    const bench = new GroupBench()
    await bench.start('c0')
    await bench.start('c1')
    await bench.connect('c0', 'c1')
    return bench
  }

  /** In steps of a heartbeat, so that what a beat brings happens before the next. */
  async advance(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 500) {
      await this.clock.advance(Math.min(500, ms - passed))
      await settle(3)
    }
  }
}
