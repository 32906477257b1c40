export { dockerAnswers, type DockerAnswersOptions } from './docker/docker-daemon.ts'
export {
  type RedisContainer,
  startRedisContainer,
  type StartRedisContainerOptions,
} from './docker/redis-container.ts'
export { type Direction, type FaultProxy, startFaultProxy } from './fault-proxy/fault-proxy.ts'
export { ensureRedis, type EnsureRedisOptions, type RedisAvailability } from './provision/ensure.ts'
export {
  type ProvidedRedis,
  provideRedis,
  type ProvideRedisOptions,
} from './provision/provide-redis.ts'
export {
  redisBinary,
  type RedisBinaryOptions,
  type ServerBinary,
  type ServerProduct,
} from './server/server-binary.ts'
export { type RedisServer, startRedis, type StartRedisOptions } from './server/redis-server.ts'
export { waitFor, type WaitForOptions } from './wait-for.ts'
