/** What a pod reads about names: resolv.conf, hosts and hostname, as texts. */
import type { Assignment } from '../../model/assignment.ts';

/** Answers names of services and forwards the rest, see the proxy's DNS. */
export interface NameFiles {
  readonly resolvConf: string;
  readonly hosts: string;
  readonly hostname: string;
}

/**
 * `host` holds the host's own files, which pods on its network keep. Pods of the overlay ask the node's name server first:
 * it alone knows services; the template's own come after it (resolvers read three). One label is enough for a service, hence
 * ndots:0; attempts bridge the seconds that a name server takes to be replaced.
 */
export function nameFiles(assignment: Assignment, nameserver: string, host: { readonly resolvConf: string; readonly hosts: string }): NameFiles {
  const { template, pod } = assignment;
  const hostname = hostnameOf(assignment);
  const onHost = template.networkMode === 'host';
  const own = template.dns.length > 0 || template.dnsSearch.length > 0 || template.dnsOptions.length > 0;
  const servers = onHost ? template.dns : [nameserver, ...template.dns].slice(0, 3);
  const resolvConf =
    onHost && !own
      ? host.resolvConf
      : [
          ...(servers.length > 0 ? servers.map((server) => `nameserver ${server}`) : host.resolvConf.split('\n').filter((line) => /^nameserver\s/.test(line))),
          ...(template.dnsSearch.length > 0 ? [`search ${template.dnsSearch.join(' ')}`] : []),
          `options ${mergeOptions(onHost ? [] : ['timeout:1', 'attempts:5', 'ndots:0'], template.dnsOptions).join(' ')}`.trim(),
          '',
        ]
          .filter((line) => line !== 'options')
          .join('\n');
  // The gateway is an address of the host itself.
  const here = onHost ? '127.0.0.1' : nameserver;
  const extra = template.extraHosts.map(({ name, ip }) => `${ip === 'host-gateway' ? here : ip}\t${name}`);
  const names = template.domainname ? `${hostname}.${template.domainname} ${hostname}` : hostname;
  const hosts = onHost
    ? `${host.hosts.replace(/\n*$/, '\n')}${extra.map((line) => `${line}\n`).join('')}`
    : ['127.0.0.1\tlocalhost', '::1\tlocalhost ip6-localhost ip6-loopback', ...extra, ...(pod.ip ? [`${pod.ip}\t${names}`] : [`127.0.0.1\t${names}`]), ''].join('\n');
  return { resolvConf, hosts, hostname: `${hostname}\n` };
}

/** The template's host name, else one that tells the pods of a service apart: `web-1`. */
export function hostnameOf(assignment: Assignment): string {
  if (assignment.template.hostname) return assignment.template.hostname;
  return `${assignment.serviceName}-${assignment.pod.slot}`.replace(/[^A-Za-z0-9.-]/g, '-').slice(0, 63).replace(/-+$/, '');
}

/** The user's option replaces ours of the same name. */
function mergeOptions(ours: readonly string[], theirs: readonly string[]): readonly string[] {
  const key = (option: string) => option.split(':')[0];
  return [...ours.filter((option) => !theirs.some((other) => key(other) === key(option))), ...theirs];
}
