/** Settles at the first SIGINT or SIGTERM; a second one ends the process at once with code 1. */
export function whenAskedToStop(): Promise<void> {
  return new Promise((settle) => {
    let asked = false
    const onSignal = (): void => {
      if (asked) process.exit(1)
      asked = true
      settle()
    }
    process.on('SIGINT', onSignal)
    process.on('SIGTERM', onSignal)
  })
}
