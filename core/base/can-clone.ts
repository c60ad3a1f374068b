/** Whether structured clone takes the value, whole. */
export function canClone(value: unknown): boolean {
  try {
    structuredClone(value)
    return true
  } catch {
    return false
  }
}
