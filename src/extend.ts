/**
 * For those who bring parts of their own (a registry, a balancer, an interceptor, a transport, a clock): the types of these
 * parts; and the contracts that servers and centers offer about themselves. Everybody else needs only the main entry. The
 * suites that check such parts are in `@erpc/erpc/testing`.
 *
 * @module
 */

// What servers and centers answer by themselves.
export { Health, Reflection } from "./host/introspection.ts";
export type { HealthStatus, ServiceDescription } from "./host/introspection.ts";
export { CenterContract } from "./center/contract.ts";
export type { WatchRequest } from "./center/contract.ts";
export type { SnapshotPart, WatchPart } from "./center/parts.ts";
export { CenterAdmin } from "./center/admin.ts";
export type { HistoryRequest, ListPart } from "./center/admin.ts";
export type { CenterToken } from "./center/access.ts";
export type { CenterQuotas } from "./center/center.ts";
export type { AllowEndpoint, ConnectionQuotas } from "./center/desk.ts";
export { CenterRules } from "./center/rules.ts";

// A registry.
export type { Instance } from "./registry/instance.ts";
export type {
  Change,
  Cursor,
  Lease,
  Origin,
  Registered,
  RegisterOptions,
  Registry,
  RemovalCause,
  RenewOptions,
  RenewResult,
  Snapshot,
  WatchEvent,
  WatchOptions,
} from "./registry/registry.ts";
export type { HistoryEntry, Listing, MemoryRegistryOptions, RegistryQuotas } from "./registry/memory_registry.ts";
export type { Quotas, Standing } from "./registry/lease_book.ts";
export type { Farewell, RegistrarStatus, RegistrationState } from "./registry/registrar.ts";
export type { RegistrationStatus } from "./server/registration.ts";
export type { Advertise } from "./server/advertise.ts";
export type { SourceStatus } from "./cluster/resolver.ts";
export type { TextStore } from "./core/store.ts";

// Routing rules.
export { explainRoute } from "./routing/explain_route.ts";
export type { RouteFinding, RouteQuestion, RuleFinding, TargetFinding } from "./routing/explain_route.ts";
export type { RoutedInstance } from "./routing/compiled_rule.ts";
export { RuleBook } from "./routing/rule_book.ts";
export type { RuleCursor, RuleEvent, RuleWatchOptions, SavedRules, ServiceRules } from "./routing/rule_book.ts";
export type { Rule, RuleCondition, RuleTarget } from "./routing/rule.ts";
export type { TextMatch, TextMatches } from "./routing/text_match.ts";

// A balancer.
export type { Balancer, Candidate, Picker, PickRequest, Surroundings } from "./balancer/balancer.ts";
export type { ByZoneOptions } from "./balancer/by_zone.ts";
export type { ConsistentHashOptions } from "./balancer/consistent_hash.ts";
export type { SlowStartOptions } from "./balancer/slow_start.ts";
export type { SubsetOptions } from "./balancer/subset.ts";
export type { LoadReport } from "./core/load.ts";

// An interceptor.
export type { Call, CallInit, Interceptor, Invoker, Reply, ReplyInit } from "./core/call.ts";
export type { Failure, Failures, MethodKind, MethodOptions, Methods } from "./core/service.ts";
export type { FailureOf } from "./core/failure.ts";
export type { Attempt, Explanation } from "./core/explanation.ts";
export type { MetadataInit, MetadataValue } from "./core/metadata.ts";
export type { DedupeKey, ServedBy } from "./core/dedupe.ts";
export type { Criticality } from "./core/criticality.ts";
export { TraceContext } from "./core/trace_context.ts";

export type { Executed, RpcErrorOptions } from "./core/error.ts";
export type { Breaker, BreakerOptions, BreakerState, BreakerSurroundings } from "./interceptor/breaker.ts";
export type { CircuitState } from "./interceptor/circuit.ts";
export type { HedgeOptions, HedgeSurroundings } from "./interceptor/hedge.ts";
export type { CallLine, LogOptions } from "./interceptor/log.ts";
export { RetryBudgets } from "./interceptor/budget.ts";
export type { RetryBudget } from "./interceptor/budget.ts";
export type { RetrySurroundings } from "./interceptor/surroundings.ts";

export type { RetryOptions } from "./interceptor/retry.ts";
export type {
  Fallback,
  FallbackOptions,
  FallbackReplies,
  FallbackReply,
  FallbackSurroundings,
} from "./interceptor/fallback.ts";

// What servers and clients take and give.
export type { Handler, PlainHandler } from "./host/handler.ts";
export type { DrainReport, HostOptions } from "./host/host.ts";
export type { AdmissionOptions } from "./admission/options.ts";
export type { AdmissionStats } from "./admission/admission.ts";
export type { RefusalCause } from "./admission/refusal.ts";
export type { Authenticate, Claim } from "./connection/handshake.ts";
export type { Counters } from "./connection/counters.ts";
export type { ServerDrainReport, ServerStats } from "./server/server.ts";
export type { EjectionOptions } from "./cluster/ejector.ts";
export type { ClientStats } from "./client/stats.ts";
export type { Answer, BroadcastOptions, UnaryNames } from "./client/broadcast.ts";
export type { MethodCaller, Requests } from "./client/typed.ts";

// Time, chance and the network.
export type { Clock, Platform, Random } from "./core/platform.ts";
export type { ByteConnection, ByteListener, PeerCertificate } from "./transport/byte_connection.ts";
export type { ConnectOptions, ListenOptions } from "./transport/options.ts";
export { TlsError } from "./transport/tls_error.ts";
export type { TlsReason } from "./transport/tls_error.ts";
export type { TlsClientOptions, TlsServerOptions } from "./transport/tls_options.ts";
export type { Transport } from "./transport/transport.ts";
