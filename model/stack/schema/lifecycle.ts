/** What happens around a container's run: healthcheck, hooks, `x-probes`. */
import { bool, count, duration, labels, object, string, works, type Shape } from './shape.ts';
import { expandAddress, expandGrpc, expandHttp, expandProbe, expandProbeList } from './short/probes.ts';

export const healthcheck = object({
  test: works({ kind: 'test' }, 'without one: the image\'s own, with these times'),
  disable: works(bool),
  interval: works(duration),
  timeout: works(duration),
  retries: works(count),
  start_period: works(duration),
  start_interval: works(duration),
});

export const environment: Shape = { kind: 'pairs', bare: 'null' };

/** A command in the running container. */
export const hook = object({
  command: works({ kind: 'words' }),
  user: works(string, 'the container\'s unless given'),
  privileged: works(bool),
  working_dir: works(string, 'the container\'s unless given'),
  environment: works(environment, 'besides the container\'s'),
}, { required: ['command'] });

const port: Shape = { kind: 'int', min: 1, max: 65_535 };

const http = object({
  port: works(port),
  path: works(string, '/ unless given'),
  scheme: works({ kind: 'enum', values: ['http', 'https'] }, 'https takes any certificate'),
  host: works(string, 'the pod\'s address unless given'),
  headers: works(labels),
}, { required: ['port'] });

export const probe = object({
  exec: works({ kind: 'words', shell: true }, 'a list is run as it is, a string by /bin/sh -c; exit code 0 passes'),
  http: works({ kind: 'short', of: http, expand: expandHttp }, '200 to 399 passes; short: `:8080/healthz`, `https://:8443/healthz`'),
  tcp: works({ kind: 'short', of: object({ port: works(port), host: works(string) }, { required: ['port'] }), expand: expandAddress }, 'a connection passes; short: `5432`'),
  grpc: works({ kind: 'short', of: object({ port: works(port), service: works(string) }, { required: ['port'] }), expand: expandGrpc }, 'grpc.health.v1, SERVING passes; short: `9000`, `9000/service`'),
  initial_delay: works(duration, '0s unless given'),
  period: works(duration, '10s unless given'),
  timeout: works(duration, '1s unless given'),
  success_threshold: works({ kind: 'int', min: 1 }, '1 unless given, and for startup and liveness always'),
  failure_threshold: works({ kind: 'int', min: 1 }, '3 unless given'),
}, { choice: ['exec', 'http', 'tcp', 'grpc'] });

const anyProbe: Shape = { kind: 'short', of: probe, expand: expandProbe, list: expandProbeList };

export const probes = object({
  startup: works(anyProbe, 'until it has passed the others are not asked; its failure ends the attempt'),
  readiness: works(anyProbe, 'decides whether the pod gets traffic; never ends anything'),
  liveness: works(anyProbe, 'its failure ends the attempt, and the restart policy decides'),
});
