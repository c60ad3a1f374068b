import { forwardFetches } from './forward-fetches.ts'

// A Service Worker ready to be copied to the root of a site and registered as `/shoal-service-worker.js?path=/api/*`.
forwardFetches({ paths: new URLSearchParams(location.search).getAll('path') })
