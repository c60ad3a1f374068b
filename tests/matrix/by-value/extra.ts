/** What the targets import from inside. */
export const factor = 10
