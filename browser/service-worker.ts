/**
 * `shoal/service-worker`: lets `fetch('/api/...')` of unmodified pages reach the page that holds the replicas. `forwardFetches` is for the Service
 * Worker's own file, `answerFetches` for the page.
 */
export { type AnsweringPage, type AnswerOptions, answerFetches, type FetchAnswerer } from './answer-fetches.ts'
export { type ForwardOptions, forwardFetches } from './forward-fetches.ts'
