/** From a caller to the replicas of a backend. */
export { BackendQueue, type BackendQueueOptions, type CallCounters, type QueueLimits } from './backend-queue.ts'
export { type GuestCalls, type GuestCallsInit, SLOTS_PER_NAMED_CALL, serveGuestCalls } from './guest-calls.ts'
export { type CallTarget, type HandleOptions, ServeHandle } from './handle.ts'
export { OutboundCalls, serveOutbound } from './outbound-calls.ts'
export { serveOutboundOnCall } from './outbound-door.ts'
export { type EndpointCounters, Router } from './router.ts'
export { ServeResponse } from './serve-response.ts'
export { type PartSource, StreamParts } from './stream-parts.ts'
