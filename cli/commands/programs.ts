/** `master`, `agent`, `proxy`, `host`: the cluster's own programs. Each is loaded only when it is asked for. */
import { Option, type Command } from 'commander';
import { UsageError } from '../exit.ts';
import type { Io } from '../io.ts';
import { parsePairs } from '../output/values.ts';
import type { HostArguments, MasterArguments } from '../programs/arguments.ts';
import { collect, command } from './command.ts';

export function programCommands(io: Io): readonly Command[] {
  return [masterCommand(io), hostCommand(io, 'host', 'agent and proxy of this host in one process'), hostCommand(io, 'agent', 'the agent alone'), hostCommand(io, 'proxy', 'the proxy alone')];
}

function masterCommand(io: Io): Command {
  return command('master', 'a master: API, scheduler, controllers', ['tsorch master --listen 10.0.0.5:7443 --grpc 10.0.0.5:7444'])
    .option('--state-dir <dir>', 'where its CA and data live', '/var/lib/tsorch/master')
    .option('--run-dir <dir>', 'for sockets and pid files', '/run/tsorch/master')
    .option('--listen <addr:port>', 'where the HTTPS API listens', '0.0.0.0:7443')
    .option('--grpc <addr:port>', 'where hosts connect', '0.0.0.0:7444')
    .option('--etcd-endpoints <urls>', 'an etcd cluster, comma-separated (default: one of its own)')
    .option('--name <name>', 'its name among masters')
    .option('--pod-cidr <cidr>', 'addresses for pods')
    .option('--service-cidr <cidr>', 'addresses for services')
    .option('--underlay <mode>', 'how pod traffic travels between hosts: auto, vxlan, route')
    .option('--registry-config <file>', 'how registries are reached: mirrors, CAs, plain HTTP (default /etc/tsorch/registries.yaml, if it is there)')
    .action(async (flags: MasterArguments) => {
      const { runMasterProgram } = await import('../programs/master.ts');
      await runMasterProgram(flags, io.signal);
    });
}

/** As they are written: labels one by one, and the kubelet's spellings beside ours. */
interface HostFlags extends Omit<HostArguments, 'kind' | 'labels'> {
  readonly label?: readonly string[];
  readonly podManifestPath?: string;
  readonly manifestUrlHeader?: readonly string[];
  readonly fileCheckFrequency?: string;
  readonly httpCheckFrequency?: string;
}

function hostCommand(io: Io, kind: HostArguments['kind'], description: string): Command {
  const examples = [`tsorch ${kind} --master 10.0.0.5:7443 --token "$(cat token)" --address 10.0.0.11 --label type=frontend`];
  if (kind !== 'proxy') examples.push(`tsorch ${kind} --manifests /etc/tsorch/manifests   # stack files of this host's own, with no master at all`);
  const made = command(kind, description, examples)
    .option('--token <token>', 'a join token, needed the first time (or TSORCH_TOKEN)')
    .option('--token-file <file>', 'a file with the join token')
    .option('--name <name>', 'this host\'s name (default its host name)')
    .option('--state-dir <dir>', 'where its certificate, images and volumes live', '/var/lib/tsorch/host')
    .option('--run-dir <dir>', 'for sockets and namespaces', '/run/tsorch/host')
    .option('--address <ip>', 'where other hosts reach this one (default the one the master is reached from)')
    .option('--label <key=value>', 'a label to join with; may be repeated', collect)
    .option('--cgroup-root <path>', 'the cgroup2 directory that pods and eBPF programs belong to (default the whole machine)')
    .option('--bpf-dir <path>', 'where eBPF programs are pinned', '/sys/fs/bpf/tsorch')
    .option('--underlay <mode>', 'how pod traffic travels between hosts: auto, vxlan, route');
  if (kind !== 'proxy') {
    made.option('--blob-port <port>', 'where other nodes fetch images from this one; 0 for nowhere', '7445')
      .option('--blob-rate <bytes>', 'how much of them per second they get, all together, such as 50M (default half of what the link carries)')
      .option('--registry-config <file>', 'how registries are reached: mirrors, CAs, plain HTTP (default /etc/tsorch/registries.yaml, if it is there)')
      .option('--image-gc-high <percent>', 'when so much of the disk is in use, pulled images that nothing uses go', '85')
      .option('--image-gc-low <percent>', 'until it is so much', '80')
      .option('--image-gc-age <time>', 'pulled images that nothing has used for so long go in any case', '30d');
    made.option('--generic-resource <kind=amount>', 'what pods may reserve of it by deploy.resources: gpu=2, or gpu=UUID1,UUID2; may be repeated', collect);
    manifestOptions(made);
  }
  if (kind === 'host') made.option('--teardown', 'take this host\'s pods and everything of tsorch off it, and end');
  return made.action(async (flags: HostFlags) => {
    const alone = flags.manifests ?? flags.podManifestPath ?? flags.manifestUrl;
    if (!flags.master && !io.env['TSORCH_MASTER'] && !flags.teardown && kind !== 'proxy' && alone === undefined) {
      throw new UsageError('which master? write --master HOST:PORT, or --manifests DIR for a host that stands alone');
    }
    const { runHostProgram } = await import('../programs/host.ts');
    const { label, master, token, podManifestPath, manifestUrlHeader, fileCheckFrequency, httpCheckFrequency, ...rest } = flags;
    const manifests = flags.manifests ?? podManifestPath;
    const manifestHeader = [...(flags.manifestHeader ?? []), ...(manifestUrlHeader ?? [])];
    const manifestInterval = flags.manifestInterval ?? fileCheckFrequency ?? httpCheckFrequency;
    const url = master ?? io.env['TSORCH_MASTER'];
    const secret = token ?? io.env['TSORCH_TOKEN'];
    const own = { ...(manifests === undefined ? {} : { manifests }), ...(manifestInterval === undefined ? {} : { manifestInterval }), manifestHeader };
    await runHostProgram({ ...rest, ...own, kind, labels: parsePairs(label ?? [], 'label'), ...(url ? { master: url } : {}), ...(secret ? { token: secret } : {}) }, io.signal);
  });
}

/** Their names are those that people know from the kubelet where it has one; its own spellings are taken too. */
function manifestOptions(to: Command): void {
  to.option('--manifests <dir>', 'stack files that this host runs by itself; changes are followed')
    .option('--manifest-url <url>', 'a stack file, or several documents, from there')
    .option('--manifest-header <header>', 'sent with each request, \'NAME: VALUE\'; may be repeated', collect)
    .option('--manifest-ca <file>', 'the CA, PEM, of the server at --manifest-url (default those of the system)')
    .option('--manifest-interval <time>', 'between two looks at either; changes of files are seen at once (default 20s)')
    .option('--local-cidr <cidr>', 'addresses for their pods and services, never seen by another host (default 10.31.0.0/16)');
  to.addOption(new Option('--pod-manifest-path <dir>').hideHelp()).addOption(new Option('--manifest-url-header <header>').argParser(collect).hideHelp());
  to.addOption(new Option('--file-check-frequency <time>').hideHelp()).addOption(new Option('--http-check-frequency <time>').hideHelp());
}
