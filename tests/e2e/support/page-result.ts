import type { BrowserContext, Page } from 'playwright-core'

/** What a page says by `console.log('RESULT', JSON.stringify(...))`; unlike a look into the page this works under any Content-Security-Policy. */
export async function resultOf<T = Record<string, unknown>>(context: BrowserContext, url: string, limitMs?: number): Promise<T> {
  const page = await context.newPage()
  try {
    return await resultIn<T>(page, () => page.goto(url), limitMs)
  } finally {
    await page.close()
  }
}

/** As {@link resultOf}, in a page that is there: what it says after `act`. */
export function resultIn<T = Record<string, unknown>>(page: Page, act: () => Promise<unknown>, limitMs = 100_000): Promise<T> {
  const said: string[] = []
  return new Promise<T>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`the page gave no result; it said: ${said.join(' | ')}`)), limitMs)
    const onConsole = (message: { text(): string }): void => {
      const text = message.text()
      said.push(text)
      if (!text.startsWith('RESULT ')) return
      clearTimeout(timer)
      page.off('console', onConsole)
      resolve(JSON.parse(text.slice('RESULT '.length)) as T)
    }
    page.on('console', onConsole)
    page.on('pageerror', (error) => said.push(String(error)))
    act().catch(reject)
  })
}
