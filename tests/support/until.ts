/** Less than the limit of a test, so that it says what it waited for. */
const LONGEST_WAIT_MS = 28_000

/** Real time passes until it is so, however much of it a busy machine takes; in vain only when the test has failed, which must not go on. */
export async function until(isSo: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const endMs = performance.now() + LONGEST_WAIT_MS
  while (!(await isSo())) {
    if (performance.now() > endMs) throw new Error(`waited in vain for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
}
