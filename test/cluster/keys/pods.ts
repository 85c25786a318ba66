/** What shares a service's pod: what runs before it, and beside it. */
import { expect } from 'vitest';
import type { Row, Theme } from './row.ts';

const rows: readonly Row[] = [
  {
    keys: ['services.pre_start', 'services.pre_start.per_replica', 'services.pre_start.deploy', 'services.pre_start.deploy.resources'],
    service: `
      environment: { WHO: service }
      scale: 2
      volumes: [/handed]
      x-pod: { volumes: [bag] }
      pre_start:
        - command: [sh, -c, "echo $$WHO >/bag/first; cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max >>/bag/first 2>/dev/null; true"]
          per_replica: true
          volumes: ["bag:/bag"]
          deploy: { resources: { limits: { memory: 32M } } }
        - { command: [sh, -c, "echo second >>/bag/first"], environment: { WHO: step }, volumes: ["bag:/bag"], per_replica: true }`.replace('volumes: [/handed]', 'volumes: ["bag:/bag"]'),
    see: async (seen) => {
      for (const slot of [1, 2]) {
        const { stdout } = await seen.cluster.exec(`${seen.id}.${slot}`, ['cat', '/bag/first']);
        expect(stdout).toBe('service\n33554432\nsecond\n');
      }
    },
  },
  {
    keys: ['services.x-pod', 'services.x-pod.init', 'services.x-pod.init.name', 'services.x-pod.volumes', 'services.x-pod.volumes.medium', 'services.x-pod.volumes.size'],
    service: `
      volumes: ["disk:/disk", "memory:/memory"]
      x-pod:
        init:
          - { name: prepare, image: "t-keys:1", command: [sh, -c, "echo prepared | busybox tee /disk/x"], volumes: ["disk:/disk"] }
        volumes: { disk: , memory: { medium: memory, size: 3m } }`.replace('disk: ,', 'disk: {},'),
    says: 'cat /disk/x; grep " /memory " /proc/mounts',
    see: async (seen) => {
      expect(await seen.output()).toMatch(/^prepared\ntmpfs \/memory tmpfs .*size=3072k/);
      expect(await seen.cluster.ok(['logs', seen.id, '-c', 'prepare', '--no-prefix'])).toBe('prepared\n');
    },
  },
  {
    keys: ['services.x-pod.sidecars', 'services.x-pod.sidecars.depends_on', 'services.x-pod.sidecars.ports', 'services.x-pod.sidecars.restart'],
    service: `
      x-pod:
        sidecars:
          web: { image: "t-keys:1", command: [busybox, httpd, -f, -p, "8081", -h, /etc], ports: ["18041:8081"], depends_on: { once: { condition: service_completed_successfully } } }
          once: { image: "t-keys:1", command: [sh, -c, "echo went"], restart: "on-failure" }`,
    see: async (seen) => {
      expect(await seen.sh('wget -qO- http://127.0.0.1:8081/hostname')).toMatch(/sidecars/);
      const response = await fetch(`http://${await seen.cluster.address('node-2')}:18041/group`);
      expect(await response.text()).toContain('extra:x:3456');
      expect(await seen.sh('id -u', ['-c', 'web'])).toBe('0\n');
      const once = (await seen.pod()).status?.containers.find(({ name }) => name === 'once');
      expect(once).toMatchObject({ exitCode: 0 });
    },
  },
];

export const pods: Theme = { name: 'k-pods', rows };
