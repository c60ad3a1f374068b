/** Peers that share their replicas. */

export {
  ADMISSION_MS,
  type AdmissionOptions,
  admit,
  type Entered,
  type EnterOptions,
  enter,
  type GateOptions,
  type Member,
  type PeerCard,
} from './admission.ts'
export { type AuthoritySeams, CREDENTIAL_MS, type Credential, MeshAuthority, RETURN_MS } from './authority.ts'
export { BAN_MOST_MS, BanList } from './ban-list.ts'
export { BundleDesk, type BundleMaker, type MadeBundle } from './bundle-desk.ts'
export { BundleIntake, type BundleIntakeOptions, type BundleListing, type BundleRefusal, type BundleSource } from './bundle-intake.ts'
export type { TravellingParts } from './bundle-parts.ts'
export { type BundleShelf, MemoryBundleShelf, type Received, type Sha256 } from './bundle-shelf.ts'
export { BundleStore, type BundleStoreOptions, toFileName } from './bundle-store.ts'
export { BUNDLE_IDLE_MS, BUNDLE_PART_BYTES, BUNDLE_PORT, fetchBundle, serveBundlePort } from './bundle-transfer.ts'
export {
  ControllerGroup,
  type ControllerGroupInit,
  GROUP_LEASE_MS,
  type GroupEvent,
  type GroupMessage,
  type GroupRole,
  type GroupSeat,
  knowsOthers,
} from './controller-group.ts'
export { dialFirst } from './dial-first.ts'
export { encodeFrame, FRAME_HEAD_BYTES, FRAME_VERSION, FrameKind, MAX_FRAME_PAYLOAD } from './frame.ts'
export { type GateCounts, Gatekeeper } from './gatekeeper.ts'
export { GROUP_PORT, isGroupMessage, seatController, serveGroupPort } from './group-port.ts'
export { Link, type LinkEnd, type LinkOptions, SILENCE_MS } from './link.ts'
export { type Viewer, viewOf } from './member-view.ts'
export { MemoryNetwork, type MemoryNetworkOptions } from './memory-network.ts'
export {
  CONTROLLER,
  type HubController,
  type LodgingPeer,
  type MemberAccess,
  type MeshCounts,
  MeshHub,
  type MeshHubInit,
  type OnInstancePort,
  type PeerEvent,
  type PeerStatus,
} from './mesh-hub.ts'
export { MeshLedger } from './mesh-ledger.ts'
export { type ControllerAddress, MeshPeer, type MeshPeerInit, type StandbyEnd } from './mesh-peer.ts'
export type { MessageCodec } from './message-codec.ts'
export { CONTROL_PORT, INSTANCE_PORT, type OpenPeerControl, type PeerControl, type PeerControlHandlers } from './peer-control.ts'
export { DEFAULT_MAX_PEERS } from './peer-links.ts'
export { applyPeers, type PeerEntry, PeerList, type PeersDelta } from './peer-list.ts'
export type { ByteChannel, ChannelEnds, ChannelReader, PeerConnection, PeerTransport } from './peer-transport.ts'
export { PortChannel } from './port-channel.ts'
export {
  keepConnected,
  type RedialOptions,
  redialDelayMs,
} from './redial.ts'
export { DEFAULT_MAX_RELAYED, Relay, type RelayCounts, type RelayOptions } from './relay.ts'
export { RelayedWays } from './relayed-ways.ts'
export { isMeshRole, isRoleError, MESH_ROLES, type MeshRole, requireRole } from './roles.ts'
export { SharedTransport } from './shared-transport.ts'
export { TableFollower, type TablePush, type TableTaken } from './stamped-table.ts'
export { applyDelta, diffTables, isSameView, type TableDelta } from './table-delta.ts'
export {
  type CredentialClaims,
  type Grant,
  type MeshSigner,
  type PeekClaims,
  readCredential,
  readTicket,
  resolveTicketOptions,
  type SignedKind,
  type TicketClaims,
  type TicketOptions,
  type VerifySigned,
} from './ticket.ts'
export { TicketBook, type TicketBookOptions } from './ticket-book.ts'
export { type Epoch, type MapConflict, type MapEntry, type Version, VersionedMap, type VersionVector } from './versioned-map.ts'
export { PORT_WINDOW_BYTES, VirtualPort } from './virtual-port.ts'
export { DEFAULT_MAX_ADMISSIONS, LEAST_SILENCE_MS, type WaitingCounts, type WaitingPlace, WaitingRoom } from './waiting-room.ts'
