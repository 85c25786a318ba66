/** Made from the tables of `model/stack/schema` by `node docs/generate.ts`; do not edit. */
import type { Json } from '../types.ts';

/** The stack after interpolation and merging, all in long syntax: what `tsorch config` prints. Loading it again gives the same stack. */
export type ComposeModel = {
  readonly name: string;
  readonly services: { readonly [name: string]: ComposeService };
  readonly configs?: { readonly [name: string]: ComposeConfig };
  readonly networks?: { readonly [name: string]: ComposeNetwork };
  readonly secrets?: { readonly [name: string]: ComposeSecret };
  readonly volumes?: { readonly [name: string]: ComposeVolume };
  readonly [key: `x-${string}`]: Json;
};

export type ComposeService = {
  readonly annotations?: { readonly [name: string]: string };
  /** harmless: it concerns the terminal of docker compose up */
  readonly attach?: boolean;
  /** refused: not supported yet. Instead: remove it */
  readonly blkio_config?: Json;
  /** refused: images are not built on the hosts. Instead: build it with your tool, then `tsorch image load FILE`, and name it with image */
  readonly build?: Json;
  readonly cap_add?: readonly string[];
  readonly cap_drop?: readonly string[];
  /** refused but for `private`: containers have a cgroup namespace of their own. Instead: remove it */
  readonly cgroup?: string;
  /** refused: the agent arranges the cgroups. Instead: use deploy.resources */
  readonly cgroup_parent?: string;
  readonly command?: readonly string[];
  readonly configs?: readonly ComposeServiceConfigs[];
  /** works: as one more name in DNS; pods are called STACK_SERVICE.SLOT */
  readonly container_name?: string;
  /** refused: it is for Windows. Instead: use deploy.resources.limits.cpus */
  readonly cpu_count?: Json;
  /** refused: it is for Windows. Instead: use deploy.resources.limits.cpus */
  readonly cpu_percent?: Json;
  /** works: with cpu_quota: cpus is the quotient */
  readonly cpu_period?: number;
  /** works: with cpu_period (100000 unless given) */
  readonly cpu_quota?: number;
  /** refused: realtime scheduling is not given to pods. Instead: use cpus */
  readonly cpu_rt_period?: Json;
  /** refused: realtime scheduling is not given to pods. Instead: use cpus */
  readonly cpu_rt_runtime?: Json;
  readonly cpu_shares?: number;
  /** works: the same as deploy.resources.limits.cpus */
  readonly cpus?: number;
  readonly cpuset?: string;
  /** refused: it is for Windows. Instead: remove it */
  readonly credential_spec?: Json;
  readonly depends_on?: { readonly [name: string]: ComposeServiceDependsOn };
  readonly deploy?: ComposeServiceDeploy;
  /** harmless: it concerns docker compose watch */
  readonly develop?: Json;
  /** refused: not supported yet. Instead: use devices */
  readonly device_cgroup_rules?: readonly string[];
  readonly devices?: readonly ComposeServiceDevices[];
  readonly dns?: readonly string[];
  readonly dns_opt?: readonly string[];
  readonly dns_search?: readonly string[];
  readonly domainname?: string;
  readonly entrypoint?: readonly string[];
  /** works: `constraint:KEY==VALUE` entries place the service, as in classic Swarm */
  readonly environment?: { readonly [name: string]: string | null };
  /** harmless: pods that share a network reach every port of each other */
  readonly expose?: readonly string[];
  /** refused: containers outside the cluster have no names here. Instead: use extra_hosts */
  readonly external_links?: readonly string[];
  readonly extra_hosts?: { readonly [name: string]: readonly string[] };
  /** refused: not supported yet. Instead: pin the service to GPU nodes with a constraint and pass the devices with devices */
  readonly gpus?: Json;
  readonly group_add?: readonly string[];
  readonly healthcheck?: ComposeServiceHealthcheck;
  readonly hostname?: string;
  readonly image?: string;
  readonly init?: boolean;
  /** refused but for `private`, `shareable`: not supported yet. Instead: remove it */
  readonly ipc?: string;
  /** refused but for `default`: it is for Windows. Instead: remove it */
  readonly isolation?: string;
  /** works: `com.docker.swarm.constraints` places the service */
  readonly labels?: { readonly [name: string]: string };
  /** works: the alias is known to everybody on the shared networks */
  readonly links?: readonly string[];
  /** works: json-file and local: the logs that `tsorch logs` shows */
  readonly logging?: ComposeServiceLogging;
  /** refused: addresses are given by the cluster. Instead: remove it */
  readonly mac_address?: string;
  /** works: the same as deploy.resources.limits.memory */
  readonly mem_limit?: string;
  /** works: the same as deploy.resources.reservations.memory */
  readonly mem_reservation?: string;
  /** refused: not supported yet. Instead: use memswap_limit */
  readonly mem_swappiness?: Json;
  readonly memswap_limit?: string;
  /** works: host, none, bridge (the default network) */
  readonly network_mode?: string;
  readonly networks?: { readonly [name: string]: ComposeServiceNetworks };
  /** refused: a container that cannot be killed takes the node down. Instead: use oom_score_adj */
  readonly oom_kill_disable?: boolean;
  readonly oom_score_adj?: number;
  /** refused: not supported yet. Instead: remove it */
  readonly pid?: string;
  readonly pids_limit?: number;
  /** works: as constraints on node.platform.os and node.platform.arch */
  readonly platform?: string;
  readonly ports?: readonly ComposeServicePorts[];
  /** refused: not supported yet. Instead: use an entrypoint script */
  readonly post_start?: Json;
  /** refused: not supported yet. Instead: use a service of its own, with depends_on: condition: service_completed_successfully */
  readonly pre_start?: Json;
  /** refused: not supported yet. Instead: handle the stop signal in the container */
  readonly pre_stop?: Json;
  readonly privileged?: boolean;
  readonly profiles?: readonly string[];
  /** refused: services are containers. Instead: run it as a service */
  readonly provider?: Json;
  /** works: always, missing (if_not_present), never */
  readonly pull_policy?: string;
  /** refused: not supported yet. Instead: use pull_policy: always */
  readonly pull_refresh_after?: string;
  readonly read_only?: boolean;
  /** works: no, always, on-failure[:N], unless-stopped; without any: always */
  readonly restart?: string;
  readonly runtime?: string;
  /** works: the same as deploy.replicas */
  readonly scale?: number;
  readonly secrets?: readonly ComposeServiceConfigs[];
  readonly security_opt?: readonly string[];
  readonly shm_size?: string;
  readonly stdin_open?: boolean;
  readonly stop_grace_period?: string;
  readonly stop_signal?: string;
  /** refused: not supported yet. Instead: limit the data by a volume */
  readonly storage_opt?: Json;
  readonly sysctls?: { readonly [name: string]: string };
  readonly tmpfs?: readonly string[];
  readonly tty?: boolean;
  readonly ulimits?: { readonly [name: string]: ComposeServiceUlimits };
  /** refused: there is no Docker socket on the hosts. Instead: use the HTTP API of the master with a token */
  readonly use_api_socket?: boolean;
  readonly user?: string;
  /** refused but for `host`: not supported yet. Instead: remove it */
  readonly userns_mode?: string;
  /** refused: not supported yet. Instead: remove it */
  readonly uts?: string;
  readonly volumes?: readonly ComposeServiceVolumes[];
  /** works: of services of the stack: their named volumes and bind mounts; the pods are placed beside theirs */
  readonly volumes_from?: readonly string[];
  readonly working_dir?: string;
  /** works: where pods want to be relative to others: `container==db`, `image!=redis`, `tier==~cache` */
  readonly 'x-affinities'?: readonly string[];
  /** works: Marathon's operators: `[hostname, UNIQUE]`, `rack:MAX_PER:2` */
  readonly 'x-constraints'?: readonly (readonly string[])[];
  readonly 'x-placement'?: ComposeServiceXPlacement;
  readonly [key: `x-${string}`]: Json;
};

export type ComposeServiceConfigs = {
  /** works: a number */
  readonly gid?: string;
  readonly mode?: number;
  readonly source: string;
  readonly target?: string;
  /** works: a number */
  readonly uid?: string;
  readonly [key: `x-${string}`]: Json;
};

export type ComposeServiceDependsOn = {
  readonly condition?: 'service_started' | 'service_healthy' | 'service_completed_successfully';
  readonly required?: boolean;
  readonly restart?: boolean;
  readonly [key: `x-${string}`]: Json;
};

export type ComposeServiceDeploy = {
  readonly endpoint_mode?: 'vip' | 'dnsrr';
  /** works: labels of the service, not of its containers */
  readonly labels?: { readonly [name: string]: string };
  readonly mode?: 'replicated' | 'global' | 'replicated-job' | 'global-job';
  readonly placement?: ComposeServiceDeployPlacement;
  readonly replicas?: number;
  readonly resources?: ComposeServiceDeployResources;
  readonly restart_policy?: ComposeServiceDeployRestartPolicy;
  readonly rollback_config?: ComposeServiceDeployRollbackConfig;
  readonly update_config?: ComposeServiceDeployUpdateConfig;
  readonly [key: `x-${string}`]: Json;
};

export type ComposeServiceDeployPlacement = {
  /** works: `node.labels.type == frontend`, or shorter `type==frontend`, `type=frontend`, or a mapping `type: frontend` */
  readonly constraints?: readonly string[];
  /** works: 0 is no limit */
  readonly max_replicas_per_node?: number;
  readonly preferences?: readonly ComposeServiceDeployPlacementPreferences[];
  readonly [key: `x-${string}`]: Json;
};

export type ComposeServiceDeployPlacementPreferences = {
  readonly spread: string;
  readonly [key: `x-${string}`]: Json;
};

export type ComposeServiceDeployResources = {
  readonly limits?: ComposeServiceDeployResourcesLimits;
  readonly reservations?: ComposeServiceDeployResourcesReservations;
  readonly [key: `x-${string}`]: Json;
};

export type ComposeServiceDeployResourcesLimits = {
  readonly cpus?: number;
  readonly memory?: string;
  readonly pids?: number;
  readonly [key: `x-${string}`]: Json;
};

export type ComposeServiceDeployResourcesReservations = {
  readonly cpus?: number;
  /** refused: not supported yet. Instead: pin the service to nodes with a constraint and pass the devices with devices */
  readonly devices?: Json;
  /** refused: not supported yet. Instead: pin the service to nodes with a constraint */
  readonly generic_resources?: Json;
  readonly memory?: string;
  readonly [key: `x-${string}`]: Json;
};

export type ComposeServiceDeployRestartPolicy = {
  readonly condition?: 'none' | 'on-failure' | 'any' | 'unless-stopped';
  readonly delay?: string;
  /** works: 0 is no limit */
  readonly max_attempts?: number;
  readonly window?: string;
  readonly [key: `x-${string}`]: Json;
};

export type ComposeServiceDeployRollbackConfig = {
  readonly delay?: string;
  readonly failure_action?: 'pause' | 'continue';
  readonly max_failure_ratio?: number;
  readonly monitor?: string;
  readonly order?: 'stop-first' | 'start-first';
  /** works: 0 is all at once */
  readonly parallelism?: number;
  readonly [key: `x-${string}`]: Json;
};

export type ComposeServiceDeployUpdateConfig = {
  readonly delay?: string;
  readonly failure_action?: 'pause' | 'continue' | 'rollback';
  readonly max_failure_ratio?: number;
  readonly monitor?: string;
  readonly order?: 'stop-first' | 'start-first';
  /** works: 0 is all at once */
  readonly parallelism?: number;
  readonly [key: `x-${string}`]: Json;
};

export type ComposeServiceDevices = {
  readonly permissions?: string;
  readonly source: string;
  readonly target?: string;
  readonly [key: `x-${string}`]: Json;
};

export type ComposeServiceHealthcheck = {
  readonly disable?: boolean;
  readonly interval?: string;
  readonly retries?: number;
  readonly start_interval?: string;
  readonly start_period?: string;
  readonly test?: readonly string[];
  readonly timeout?: string;
  readonly [key: `x-${string}`]: Json;
};

export type ComposeServiceLogging = {
  /** refused but for `json-file`, `local`: logs stay on the nodes, for `tsorch logs`. Instead: remove it, or collect the files by a global service */
  readonly driver?: string;
  /** harmless: the agent rotates logs by limits of its own (with a warning) */
  readonly options?: { readonly [name: string]: string };
  readonly [key: `x-${string}`]: Json;
};

export type ComposeServiceNetworks = {
  readonly aliases?: readonly string[];
  /** refused: networks have no drivers here. Instead: remove it */
  readonly driver_opts?: { readonly [name: string]: string };
  /** harmless: a pod has one interface for all networks */
  readonly gw_priority?: Json;
  /** refused: a pod has one interface for all networks. Instead: remove it */
  readonly interface_name?: string;
  /** refused: addresses are given by the cluster. Instead: use the name of the service */
  readonly 'ipv4_address'?: string;
  /** refused: addresses are given by the cluster. Instead: use the name of the service */
  readonly 'ipv6_address'?: string;
  /** refused: addresses are given by the cluster. Instead: use the name of the service */
  readonly link_local_ips?: readonly string[];
  /** refused: addresses are given by the cluster. Instead: remove it */
  readonly mac_address?: string;
  /** harmless: a pod has one interface for all networks */
  readonly priority?: Json;
  readonly [key: `x-${string}`]: Json;
};

export type ComposeServicePorts = {
  /** harmless: only a note for people */
  readonly app_protocol?: string;
  readonly host_ip?: string;
  /** works: ingress: the port answers on every node; host: only where a pod runs */
  readonly mode?: 'ingress' | 'host';
  /** harmless: only a name for people */
  readonly name?: string;
  readonly protocol?: 'tcp' | 'udp';
  /** works: one port; without it the master picks a free one */
  readonly published?: string;
  readonly target: number;
  readonly [key: `x-${string}`]: Json;
};

export type ComposeServiceUlimits = {
  readonly hard: number;
  readonly soft: number;
  readonly [key: `x-${string}`]: Json;
};

export type ComposeServiceVolumes = {
  readonly bind?: ComposeServiceVolumesBind;
  /** harmless: it matters on Docker Desktop only */
  readonly consistency?: string;
  readonly image?: Json;
  readonly read_only?: boolean;
  readonly source?: string;
  readonly target: string;
  readonly tmpfs?: ComposeServiceVolumesTmpfs;
  /** works: bind, volume, tmpfs */
  readonly type: 'bind' | 'volume' | 'tmpfs' | 'cluster' | 'npipe' | 'image';
  readonly volume?: ComposeServiceVolumesVolume;
  readonly [key: `x-${string}`]: Json;
};

export type ComposeServiceVolumesBind = {
  /** works: true unless said otherwise */
  readonly create_host_path?: boolean;
  readonly propagation?: 'rprivate' | 'private' | 'rshared' | 'shared' | 'rslave' | 'slave';
  /** refused but for `enabled`: bind mounts always include what is mounted below. Instead: remove it */
  readonly recursive?: string;
  /** harmless: hosts with SELinux keep their labels (with a warning) */
  readonly selinux?: string;
  readonly [key: `x-${string}`]: Json;
};

export type ComposeServiceVolumesTmpfs = {
  readonly mode?: number;
  readonly size?: string;
  readonly [key: `x-${string}`]: Json;
};

export type ComposeServiceVolumesVolume = {
  /** refused: not supported yet. Instead: give the labels to the volume under the top-level volumes */
  readonly labels?: { readonly [name: string]: string };
  readonly nocopy?: boolean;
  readonly subpath?: string;
  readonly [key: `x-${string}`]: Json;
};

export type ComposeServiceXPlacement = {
  /** works: spread (the default): evenly; binpack: fill nodes one after the other; random */
  readonly strategy?: 'spread' | 'binpack' | 'random';
  readonly [key: `x-${string}`]: Json;
};

export type ComposeNetwork = {
  /** harmless: there are no standalone containers */
  readonly attachable?: boolean;
  /** works: overlay or bridge, which mean the same here; the network `host` is the host's own */
  readonly driver?: string;
  /** works: options for MTU and bridges have no effect */
  readonly driver_opts?: { readonly [name: string]: string };
  /** refused but for `true`: pods have IPv4 addresses. Instead: remove it */
  readonly 'enable_ipv4'?: boolean;
  /** refused: not supported yet. Instead: remove it */
  readonly 'enable_ipv6'?: boolean;
  readonly external?: boolean;
  readonly internal?: boolean;
  /** harmless: the cluster gives the addresses (with a warning) */
  readonly ipam?: Json;
  readonly labels?: { readonly [name: string]: string };
  readonly name?: string;
  readonly [key: `x-${string}`]: Json;
};

export type ComposeVolume = {
  /** works: local */
  readonly driver?: string;
  readonly driver_opts?: { readonly [name: string]: string };
  readonly external?: boolean;
  readonly labels?: { readonly [name: string]: string };
  readonly name?: string;
  readonly [key: `x-${string}`]: Json;
};

export type ComposeSecret = {
  readonly content?: string;
  /** refused: secrets are kept by the master. Instead: use file or environment */
  readonly driver?: string;
  /** refused: secrets are kept by the master. Instead: use file or environment */
  readonly driver_opts?: { readonly [name: string]: string };
  readonly environment?: string;
  readonly external?: boolean;
  readonly file?: string;
  readonly labels?: { readonly [name: string]: string };
  readonly name?: string;
  /** refused: contents are taken to the letter. Instead: use interpolation with content */
  readonly template_driver?: string;
  readonly [key: `x-${string}`]: Json;
};

export type ComposeConfig = {
  readonly content?: string;
  readonly environment?: string;
  readonly external?: boolean;
  readonly file?: string;
  readonly labels?: { readonly [name: string]: string };
  readonly name?: string;
  /** refused: contents are taken to the letter. Instead: use interpolation with content */
  readonly template_driver?: string;
  readonly [key: `x-${string}`]: Json;
};
