/** How large a stack may be. Beyond these numbers it is a mistake or an attack; several stacks have room for more. */
export const stackLimits = {
  services: 10_000,
  networks: 1000,
  volumes: 10_000,
  secrets: 10_000,
  configs: 10_000,
  /** Of one pod, those that run before the others included. */
  containers: 100,
  /** Of one service: constraints, affinities, operators, preferences, each. */
  expressions: 100,
  /** Different regular expressions in a stack. */
  regexes: 1000,
  /** Variables of a container, labels of a thing. */
  entries: 100_000,
} as const;
