// Servers for tests, demo and benchmarks.
export { ensureRedis, type EnsureRedisOptions, type RedisAvailability } from './provision/ensure.ts'
export {
  type ProvidedRedis,
  provideRedis,
  type ProvideRedisOptions,
} from './provision/provide-redis.ts'
export { startRedis, type StartRedisOptions } from './server/redis-server.ts'
export type { RedisServer } from './server/private-server.ts'
export {
  redisBinary,
  type RedisBinaryOptions,
  type ServerBinary,
  type ServerProduct,
} from './server/server-binary.ts'
export {
  ensureUnpackedServer,
  type UnpackedServer,
  type UnpackedServerOptions,
} from './unpacked/unpacked-server.ts'
export { startCluster, type StartClusterOptions } from './cluster/start-cluster.ts'
export type { ClusterNode, MoveSlotOptions, RedisCluster } from './cluster/redis-cluster.ts'
export { startSentinel, type StartSentinelOptions } from './sentinel/start-sentinel.ts'
export type { SentinelSet } from './sentinel/sentinel-set.ts'
export type { Address } from './server/admin-client.ts'
export { dockerAnswers, type DockerAnswersOptions } from './docker/docker-daemon.ts'
export {
  type RedisContainer,
  startRedisContainer,
  type StartRedisContainerOptions,
} from './docker/redis-container.ts'

// Faults, checks and waiting.
export { type Direction, type FaultProxy, startFaultProxy } from './fault-proxy/fault-proxy.ts'
export {
  createDeliveryRecorder,
  type DeliveredEvent,
  type DeliveryRecorder,
  type DeliveryRecorderOptions,
  type DeliveryReport,
  type ReportOptions,
} from './delivery-recorder.ts'
export { expectNoLeaks, type LeakCheckOptions } from './leak-check.ts'
export { waitFor, type WaitForOptions } from './wait-for.ts'
