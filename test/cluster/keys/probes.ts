/** `x-probes`: by all four ways of asking, against servers that note what they were asked. */
import { expect } from 'vitest';
import type { Row, Theme } from './row.ts';
import type { Seen } from './seen.ts';

const web = 'busybox httpd -f -p 80 -h /www & echo $! >/tmp/pid';
const site = 'mkdir -p /www/cgi-bin; printf "#!/bin/sh\\nif [ \\"\\$HTTP_COOKIE\\" = from=probe ]; then printf \\"Status: 200 OK\\\\r\\\\n\\\\r\\\\nok\\"; else printf \\"Status: 503 No\\\\r\\\\n\\\\r\\\\nno\\"; fi\\n" >/www/cgi-bin/check; busybox chmod +x /www/cgi-bin/check; echo ok >/www/ok';
/** Long enough for a busy machine; those who want it shorter say so. */
const often = 'period: 1s, timeout: 20s';

const isReady = async (seen: Seen) => expect((await seen.pods())[0]).toMatchObject({ ready: true, restarts: 0 });

/** Traffic stops when the check fails, and nothing is ended. */
function readiness(breaks: string, mends: string): (seen: Seen) => Promise<void> {
  return async (seen) => {
    await seen.output();
    await isReady(seen);
    await seen.sh(breaks);
    await seen.until('it to be taken out of service', async () => (await seen.pods()).every(({ ready }) => !ready));
    await seen.sh(mends);
    await seen.until('it to be back', async () => (await seen.pods()).every(({ ready }) => ready));
    await isReady(seen);
  };
}

const rows: readonly Row[] = [
  {
    keys: ['services.x-probes', 'services.x-probes.readiness', 'services.x-probes.readiness.exec', 'services.x-probes.readiness.period', 'services.x-probes.readiness.success_threshold', 'services.x-probes.readiness.failure_threshold'],
    form: 'exec, long', service: `x-probes: { readiness: { exec: [test, -e, /tmp/ready], ${often}, success_threshold: 2, failure_threshold: 2 } }`, says: 'sleep 0.5; touch /tmp/ready', see: readiness('rm /tmp/ready', 'touch /tmp/ready'),
  },
  { keys: ['services.x-probes.readiness'], form: 'a command for the shell', service: `x-probes: { readiness: { exec: "test -e /tmp/ready && true", ${often}, failure_threshold: 1 } }`, says: 'touch /tmp/ready', see: readiness('rm /tmp/ready', 'touch /tmp/ready') },
  {
    keys: ['services.x-probes.readiness.http', 'services.x-probes.readiness.http.port', 'services.x-probes.readiness.http.path', 'services.x-probes.readiness.http.headers'], form: 'long: asked with its headers',
    service: `x-probes: { readiness: { http: { port: 80, path: /cgi-bin/check, headers: { Cookie: from=probe } }, ${often}, failure_threshold: 1 } }`, says: `${site}; ${web}`, see: readiness('busybox mv /www/cgi-bin/check /tmp', 'busybox mv /tmp/check /www/cgi-bin'),
  },
  { keys: ['services.x-probes.readiness.http'], form: 'short', service: `x-probes: { readiness: { http: ":80/ok", ${often}, failure_threshold: 1 } }`, says: `${site}; ${web}`, see: readiness('busybox mv /www/ok /tmp', 'busybox mv /tmp/ok /www') },
  { keys: ['services.x-probes.readiness.tcp', 'services.x-probes.readiness.tcp.port'], form: 'long', service: `x-probes: { readiness: { tcp: { port: 80 }, ${often}, failure_threshold: 1 } }`, says: `mkdir /www; ${web}`, see: readiness('kill $(cat /tmp/pid)', web) },
  { keys: ['services.x-probes.readiness.tcp'], form: 'short', service: `x-probes: { readiness: { tcp: 80, ${often}, failure_threshold: 1 } }`, says: `mkdir /www; ${web}`, see: readiness('kill $(cat /tmp/pid)', web) },
  // Nothing listens in the pod: it is the master that answers, at the machine's end of the wire.
  { keys: ['services.x-probes.readiness.tcp.host'], service: `x-probes: { readiness: { tcp: { host: "\${MACHINE}", port: 7443 }, ${often} } }`, see: isReady },
  {
    keys: ['services.x-probes.startup', 'services.x-probes.startup.initial_delay'], form: 'until it has passed, liveness is not asked',
    service: `x-probes: { startup: { exec: [test, -e, /tmp/started], initial_delay: 100ms, ${often}, failure_threshold: 300 }, liveness: { exec: [test, -e, /tmp/alive], ${often}, failure_threshold: 1 } }`, says: 'sleep 2; touch /tmp/alive /tmp/started', see: async (seen) => {
      await seen.output();
      await seen.until('it to be ready', async () => (await seen.pods()).every(({ ready }) => ready));
      await isReady(seen);
    },
  },
  {
    keys: ['services.x-probes.liveness', 'services.x-probes.liveness.timeout'], form: 'its failure ends the attempt', service: `x-probes: { liveness: { exec: "[ ! -e /tmp/stuck ] || sleep 1000", period: 1s, timeout: 4s, failure_threshold: 1 } }`,
    see: async (seen) => {
      await isReady(seen);
      await seen.sh('touch /tmp/stuck');
      await seen.until('it to be begun again', async () => (await seen.pods()).some(({ restarts }) => restarts > 0));
    },
  },
];

export const probes: Theme = { name: 'k-probes', rows };
