/**
 * Keys that work and that another test proves, by the file: what needs a server that busybox is not, a plugin, or a registry. Short on
 * purpose; test/unit/model/stack/proved.test.ts sees to it that each file is there and speaks of the key.
 */
const probes = 'test/contract/agent/pods/ask.test.ts';

export const elsewhere: Readonly<Record<string, string>> = {
  'services.x-probes.startup.grpc': probes,
  'services.x-probes.startup.grpc.port': probes,
  'services.x-probes.startup.grpc.service': probes,
  'services.x-probes.startup.http.scheme': probes,
  'services.x-probes.startup.http.host': probes,
  // Needs a host that loses its master.
  'services.x-on-disconnect': 'test/cluster/pods.test.ts',
  'services.x-on-disconnect.action': 'test/cluster/pods.test.ts',
  'services.x-on-disconnect.after': 'test/cluster/pods.test.ts',
};
