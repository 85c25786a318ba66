/** Made from the tables of `model/stack/schema` by `node docs/generate.ts`; do not edit. */
import type { Json } from '../types.ts';

/** The stack after interpolation and merging, all in long syntax: what `tsorch config` prints. Loading it again gives the same stack. */
export type ComposeModel = {
  readonly name: string;
  readonly services: { readonly [name: string]: ComposeService };
  readonly configs?: { readonly [name: string]: ComposeConfig };
  readonly jobs?: Json;
  readonly networks?: { readonly [name: string]: ComposeNetwork };
  readonly secrets?: { readonly [name: string]: ComposeSecret };
  readonly volumes?: { readonly [name: string]: ComposeVolume };
  readonly [key: `x-${string}`]: Json;
};

export type ComposeService = {
  readonly annotations?: { readonly [name: string]: string };
  /** harmless: it concerns the terminal of docker compose up */
  readonly attach?: boolean;
  readonly blkio_config?: ComposeServiceBlkioConfig;
  /** refused: images are not built on the hosts. Instead: build it with your tool, then `tsorch image load FILE`, and name it with image */
  readonly build?: Json;
  readonly cap_add?: readonly string[];
  readonly cap_drop?: readonly string[];
  /** works: private unless given */
  readonly cgroup?: 'host' | 'private';
  /** works: below the agent's own cgroup */
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
  /** works: microseconds or a duration */
  readonly cpu_rt_period?: number;
  /** works: microseconds or a duration */
  readonly cpu_rt_runtime?: number;
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
  /** works: such as `c 1:3 rwm` */
  readonly device_cgroup_rules?: readonly string[];
  readonly devices?: readonly ComposeServiceDevices[];
  readonly dns?: readonly string[];
  readonly dns_opt?: readonly string[];
  readonly dns_search?: readonly string[];
  readonly domainname?: string;
  readonly entrypoint?: readonly string[];
  /** works: `constraint:KEY==VALUE` entries of a service place it, as in classic Swarm */
  readonly environment?: { readonly [name: string]: string | null };
  /** harmless: pods that share a network reach every port of each other */
  readonly expose?: readonly string[];
  /** refused: containers outside the cluster have no names here. Instead: use extra_hosts */
  readonly external_links?: readonly string[];
  readonly extra_hosts?: { readonly [name: string]: readonly string[] };
  /** works: the node's CDI devices; the pod goes to a node that says it has a `gpu` */
  readonly gpus?: readonly ComposeServiceGpus[];
  readonly group_add?: readonly string[];
  readonly healthcheck?: ComposeServiceHealthcheck;
  readonly hostname?: string;
  readonly image?: string;
  readonly init?: boolean;
  /** works: host, none, private (as without), shareable; `service:NAME` and `container:NAME` within the pod */
  readonly ipc?: string;
  /** refused but for `default`: it is for Windows. Instead: remove it */
  readonly isolation?: string;
  /** works: `com.docker.swarm.constraints` of a service places it */
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
  /** works: -1 is the host's */
  readonly mem_swappiness?: number;
  readonly memswap_limit?: string;
  /** works: host, none, bridge (the default network); `service:NAME` and `container:NAME`: the container goes into that service's pod */
  readonly network_mode?: string;
  readonly networks?: { readonly [name: string]: ComposeServiceNetworks };
  /** works: only with a memory limit, so that it cannot take the node down */
  readonly oom_kill_disable?: boolean;
  readonly oom_score_adj?: number;
  /** works: host; `service:NAME` and `container:NAME` within the pod */
  readonly pid?: string;
  readonly pids_limit?: number;
  /** works: as constraints on node.platform.os and node.platform.arch */
  readonly platform?: string;
  readonly ports?: readonly ComposeServicePorts[];
  /** works: run in order in the container once it has started */
  readonly post_start?: readonly ComposeServicePostStart[];
  /** works: containers that run before the service's own, each to exit code 0; what they leave unsaid is the service's */
  readonly pre_start?: readonly ComposeServicePreStart[];
  /** works: run in order in the container before the stop signal, within the grace period */
  readonly pre_stop?: readonly ComposeServicePostStart[];
  readonly privileged?: boolean;
  readonly profiles?: readonly string[];
  /** refused: services are containers. Instead: run it as a service */
  readonly provider?: Json;
  /** works: always, missing (if_not_present), never, daily, weekly, `every_12h`, refresh with pull_refresh_after */
  readonly pull_policy?: string;
  /** works: with pull_policy: refresh */
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
  /** works: `size`: what the writable layer may take */
  readonly storage_opt?: { readonly [name: string]: string };
  readonly sysctls?: { readonly [name: string]: string };
  /** works: `PATH[:OPTION,…]`: size, mode, uid, gid, exec, ro and others */
  readonly tmpfs?: readonly string[];
  readonly tty?: boolean;
  readonly ulimits?: { readonly [name: string]: ComposeServicePreStartUlimits };
  /** refused: there is no Docker socket on the hosts. Instead: use the HTTP API of the master with a token */
  readonly use_api_socket?: boolean;
  readonly user?: string;
  /** works: host unless given; private: user 0 inside is nobody outside */
  readonly userns_mode?: 'host' | 'private';
  readonly uts?: 'host';
  readonly volumes?: readonly ComposeServicePreStartVolumes[];
  /** works: of services of the stack: their named volumes and bind mounts; the pods are placed beside theirs */
  readonly volumes_from?: readonly string[];
  readonly working_dir?: string;
  /** works: where pods want to be relative to others: `container==db`, `image!=redis`, `tier==~cache` */
  readonly 'x-affinities'?: readonly string[];
  /** works: Marathon's operators: `[hostname, UNIQUE]`, `rack:MAX_PER:2` */
  readonly 'x-constraints'?: readonly (readonly string[])[];
  /** works: what becomes of its pods when no master hears of their host: `keep` or `stop` */
  readonly 'x-on-disconnect'?: ComposeServiceXOnDisconnect;
  readonly 'x-placement'?: ComposeServiceXPlacement;
  /** works: what shares the service's pod */
  readonly 'x-pod'?: ComposeServiceXPod;
  /** works: Kubernetes' three probes */
  readonly 'x-probes'?: ComposeServiceXPodSidecarsXProbes;
  readonly [key: `x-${string}`]: Json;
};

export type ComposeServiceBlkioConfig = {
  readonly device_read_bps?: readonly ComposeServiceBlkioConfigDeviceReadBps[];
  readonly device_read_iops?: readonly ComposeServiceBlkioConfigDeviceReadIops[];
  readonly device_write_bps?: readonly ComposeServiceBlkioConfigDeviceWriteBps[];
  readonly device_write_iops?: readonly ComposeServiceBlkioConfigDeviceWriteIops[];
  /** works: 10 to 1000 */
  readonly weight?: number;
  readonly weight_device?: readonly ComposeServiceBlkioConfigWeightDevice[];
  readonly [key: `x-${string}`]: Json;
};

export type ComposeServiceBlkioConfigDeviceReadBps = {
  readonly path: string;
  readonly rate: string;
  readonly [key: `x-${string}`]: Json;
};

export type ComposeServiceBlkioConfigDeviceReadIops = {
  readonly path: string;
  readonly rate: number;
  readonly [key: `x-${string}`]: Json;
};

export type ComposeServiceBlkioConfigDeviceWriteBps = {
  readonly path: string;
  readonly rate: string;
  readonly [key: `x-${string}`]: Json;
};

export type ComposeServiceBlkioConfigDeviceWriteIops = {
  readonly path: string;
  readonly rate: number;
  readonly [key: `x-${string}`]: Json;
};

export type ComposeServiceBlkioConfigWeightDevice = {
  readonly path: string;
  readonly weight: number;
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
  /** works: `spread: node.labels.zone`; `type=frontend` or a mapping `type: frontend`, which is a wish */
  readonly preferences?: readonly ComposeServiceDeployPlacementPreferences[];
  readonly [key: `x-${string}`]: Json;
};

export type ComposeServiceDeployPlacementPreferences = {
  /** works: evenly over the values of a label */
  readonly spread?: string;
  /** works: what `type=frontend` and `type: frontend` stand for: a wish, as the constraint `type==~frontend` */
  readonly 'x-prefer'?: string;
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
  /** works: as `gpus` */
  readonly devices?: readonly ComposeServiceDeployResourcesReservationsDevices[];
  /** works: counted resources that nodes say they have */
  readonly generic_resources?: readonly ComposeServiceDeployResourcesReservationsGenericResources[];
  readonly memory?: string;
  readonly [key: `x-${string}`]: Json;
};

export type ComposeServiceDeployResourcesReservationsDevices = {
  /** works: `gpu` is NVIDIA's unless `driver` says otherwise */
  readonly capabilities?: readonly string[];
  /** works: the first so many of the node, as Docker gives them; `all`: -1 */
  readonly count?: number;
  /** works: the names the CDI file gives them: `0`, a UUID */
  readonly device_ids?: readonly string[];
  /** works: nvidia, amd, intel; cdi: `device_ids` are CDI names */
  readonly driver?: string;
  /** refused: CDI takes no options. Instead: remove it, or name devices with device_ids */
  readonly options?: { readonly [name: string]: string };
  readonly [key: `x-${string}`]: Json;
};

export type ComposeServiceDeployResourcesReservationsGenericResources = {
  readonly discrete_resource_spec?: ComposeServiceDeployResourcesReservationsGenericResourcesDiscreteResourceSpec;
  readonly [key: `x-${string}`]: Json;
};

export type ComposeServiceDeployResourcesReservationsGenericResourcesDiscreteResourceSpec = {
  readonly kind: string;
  readonly value: number;
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
  /** works: a path on the host, or a CDI name such as `vendor.com/class=name` */
  readonly source: string;
  readonly target?: string;
  readonly [key: `x-${string}`]: Json;
};

export type ComposeServiceGpus = {
  /** works: `gpu` is NVIDIA's unless `driver` says otherwise */
  readonly capabilities?: readonly string[];
  /** works: the first so many of the node, as Docker gives them; `all`: -1 */
  readonly count?: number;
  /** works: the names the CDI file gives them: `0`, a UUID */
  readonly device_ids?: readonly string[];
  /** works: nvidia, amd, intel; cdi: `device_ids` are CDI names */
  readonly driver?: string;
  /** refused: CDI takes no options. Instead: remove it, or name devices with device_ids */
  readonly options?: { readonly [name: string]: string };
  readonly [key: `x-${string}`]: Json;
};

export type ComposeServiceHealthcheck = {
  readonly disable?: boolean;
  readonly interval?: string;
  readonly retries?: number;
  readonly start_interval?: string;
  readonly start_period?: string;
  /** works: without one: the image's own, with these times */
  readonly test?: readonly string[];
  readonly timeout?: string;
  readonly [key: `x-${string}`]: Json;
};

export type ComposeServiceLogging = {
  /** refused but for `json-file`, `local`: logs stay on the nodes, for `tsorch logs`. Instead: remove it, or collect the files by a global service */
  readonly driver?: string;
  /** works: `max-size` times `max-file` is kept of the output of each attempt; others change nothing (with a warning) */
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
  readonly ipv4_address?: string;
  /** refused: addresses are given by the cluster. Instead: use the name of the service */
  readonly ipv6_address?: string;
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
  /** works: one port, or a range of which the master picks a free one; without it any free one */
  readonly published?: string;
  readonly target: number;
  readonly [key: `x-${string}`]: Json;
};

export type ComposeServicePostStart = {
  readonly command: readonly string[];
  /** works: besides the container's */
  readonly environment?: { readonly [name: string]: string | null };
  readonly privileged?: boolean;
  /** works: the container's unless given */
  readonly user?: string;
  /** works: the container's unless given */
  readonly working_dir?: string;
  readonly [key: `x-${string}`]: Json;
};

export type ComposeServicePreStart = {
  readonly annotations?: { readonly [name: string]: string };
  /** harmless: it concerns the terminal of docker compose up */
  readonly attach?: boolean;
  readonly blkio_config?: ComposeServiceBlkioConfig;
  /** refused: images are not built on the hosts. Instead: build it with your tool, then `tsorch image load FILE`, and name it with image */
  readonly build?: Json;
  readonly cap_add?: readonly string[];
  readonly cap_drop?: readonly string[];
  /** works: private unless given */
  readonly cgroup?: 'host' | 'private';
  /** works: below the agent's own cgroup */
  readonly cgroup_parent?: string;
  readonly command?: readonly string[];
  readonly configs?: readonly ComposeServiceConfigs[];
  /** refused: it is for Windows. Instead: use deploy.resources.limits.cpus */
  readonly cpu_count?: Json;
  /** refused: it is for Windows. Instead: use deploy.resources.limits.cpus */
  readonly cpu_percent?: Json;
  /** works: with cpu_quota: cpus is the quotient */
  readonly cpu_period?: number;
  /** works: with cpu_period (100000 unless given) */
  readonly cpu_quota?: number;
  /** works: microseconds or a duration */
  readonly cpu_rt_period?: number;
  /** works: microseconds or a duration */
  readonly cpu_rt_runtime?: number;
  readonly cpu_shares?: number;
  /** works: the same as deploy.resources.limits.cpus */
  readonly cpus?: number;
  readonly cpuset?: string;
  /** refused: it is for Windows. Instead: remove it */
  readonly credential_spec?: Json;
  /** refused: the container runs once, before the others, and ends. Instead: remove it, or make the container a sidecar */
  readonly depends_on?: Json;
  readonly deploy?: ComposeServicePreStartDeploy;
  /** works: such as `c 1:3 rwm` */
  readonly device_cgroup_rules?: readonly string[];
  readonly devices?: readonly ComposeServiceDevices[];
  /** refused: the containers of a pod have it in common. Instead: put it into the service */
  readonly dns?: Json;
  /** refused: the containers of a pod have it in common. Instead: put it into the service */
  readonly dns_opt?: Json;
  /** refused: the containers of a pod have it in common. Instead: put it into the service */
  readonly dns_search?: Json;
  /** refused: the containers of a pod have it in common. Instead: put it into the service */
  readonly domainname?: Json;
  readonly entrypoint?: readonly string[];
  /** works: `constraint:KEY==VALUE` entries of a service place it, as in classic Swarm */
  readonly environment?: { readonly [name: string]: string | null };
  /** harmless: pods that share a network reach every port of each other */
  readonly expose?: readonly string[];
  /** refused: the containers of a pod have it in common. Instead: put it into the service */
  readonly external_links?: Json;
  /** refused: the containers of a pod have it in common. Instead: put it into the service */
  readonly extra_hosts?: Json;
  /** works: the node's CDI devices; the pod goes to a node that says it has a `gpu` */
  readonly gpus?: readonly ComposeServiceGpus[];
  readonly group_add?: readonly string[];
  /** refused: the container runs once, before the others, and ends. Instead: remove it, or make the container a sidecar */
  readonly healthcheck?: Json;
  /** refused: the containers of a pod have it in common. Instead: put it into the service */
  readonly hostname?: Json;
  readonly image?: string;
  readonly init?: boolean;
  /** works: host, none, private (as without), shareable; `service:NAME` and `container:NAME` within the pod */
  readonly ipc?: string;
  /** refused but for `default`: it is for Windows. Instead: remove it */
  readonly isolation?: string;
  /** works: `com.docker.swarm.constraints` of a service places it */
  readonly labels?: { readonly [name: string]: string };
  /** refused: the containers of a pod have it in common. Instead: put it into the service */
  readonly links?: Json;
  /** works: json-file and local: the logs that `tsorch logs` shows */
  readonly logging?: ComposeServiceLogging;
  /** refused: the containers of a pod have it in common. Instead: put it into the service */
  readonly mac_address?: Json;
  /** works: the same as deploy.resources.limits.memory */
  readonly mem_limit?: string;
  /** works: the same as deploy.resources.reservations.memory */
  readonly mem_reservation?: string;
  /** works: -1 is the host's */
  readonly mem_swappiness?: number;
  readonly memswap_limit?: string;
  /** refused: the containers of a pod have it in common. Instead: put it into the service */
  readonly network_mode?: Json;
  /** refused: the containers of a pod have it in common. Instead: put it into the service */
  readonly networks?: Json;
  /** works: only with a memory limit, so that it cannot take the node down */
  readonly oom_kill_disable?: boolean;
  readonly oom_score_adj?: number;
  /** works: it runs before every pod of the service; true says that this is meant */
  readonly per_replica?: boolean;
  /** works: host; `service:NAME` and `container:NAME` within the pod */
  readonly pid?: string;
  readonly pids_limit?: number;
  /** refused: the container runs once, before the others, and ends. Instead: remove it, or make the container a sidecar */
  readonly ports?: Json;
  /** refused: the container runs once, before the others, and ends. Instead: remove it, or make the container a sidecar */
  readonly post_start?: Json;
  /** refused: the container runs once, before the others, and ends. Instead: remove it, or make the container a sidecar */
  readonly pre_stop?: Json;
  readonly privileged?: boolean;
  /** works: always, missing (if_not_present), never, daily, weekly, `every_12h`, refresh with pull_refresh_after */
  readonly pull_policy?: string;
  /** works: with pull_policy: refresh */
  readonly pull_refresh_after?: string;
  readonly read_only?: boolean;
  /** refused: the container runs once, before the others, and ends. Instead: remove it, or make the container a sidecar */
  readonly restart?: Json;
  readonly runtime?: string;
  readonly secrets?: readonly ComposeServiceConfigs[];
  readonly security_opt?: readonly string[];
  readonly shm_size?: string;
  readonly stdin_open?: boolean;
  /** refused: the containers of a pod have it in common. Instead: put it into the service */
  readonly stop_grace_period?: Json;
  readonly stop_signal?: string;
  /** works: `size`: what the writable layer may take */
  readonly storage_opt?: { readonly [name: string]: string };
  /** refused: the containers of a pod have it in common. Instead: put it into the service */
  readonly sysctls?: Json;
  /** works: `PATH[:OPTION,…]`: size, mode, uid, gid, exec, ro and others */
  readonly tmpfs?: readonly string[];
  readonly tty?: boolean;
  readonly ulimits?: { readonly [name: string]: ComposeServicePreStartUlimits };
  /** refused: there is no Docker socket on the hosts. Instead: use the HTTP API of the master with a token */
  readonly use_api_socket?: boolean;
  readonly user?: string;
  /** works: host unless given; private: user 0 inside is nobody outside */
  readonly userns_mode?: 'host' | 'private';
  readonly uts?: 'host';
  readonly volumes?: readonly ComposeServicePreStartVolumes[];
  /** refused: the containers of a pod have it in common. Instead: put it into the service */
  readonly volumes_from?: Json;
  readonly working_dir?: string;
  /** refused: the container runs once, before the others, and ends. Instead: remove it, or make the container a sidecar */
  readonly 'x-probes'?: Json;
  readonly [key: `x-${string}`]: Json;
};

export type ComposeServicePreStartDeploy = {
  readonly resources?: ComposeServiceDeployResources;
  readonly [key: `x-${string}`]: Json;
};

export type ComposeServicePreStartUlimits = {
  readonly hard: number;
  readonly soft: number;
  readonly [key: `x-${string}`]: Json;
};

export type ComposeServicePreStartVolumes = {
  readonly bind?: ComposeServicePreStartVolumesBind;
  /** harmless: it matters on Docker Desktop only */
  readonly consistency?: string;
  readonly image?: ComposeServicePreStartVolumesImage;
  readonly read_only?: boolean;
  /** works: a path on the host, a volume of the stack or of `x-pod`, or an image */
  readonly source?: string;
  readonly target: string;
  readonly tmpfs?: ComposeServicePreStartVolumesTmpfs;
  /** works: bind, volume, tmpfs, image */
  readonly type: 'bind' | 'volume' | 'tmpfs' | 'image' | 'cluster' | 'npipe';
  readonly volume?: ComposeServicePreStartVolumesVolume;
  /** works: every slot of the service has a volume of its own, `NAME.SLOT` */
  readonly 'x-per-replica'?: boolean;
  readonly [key: `x-${string}`]: Json;
};

export type ComposeServicePreStartVolumesBind = {
  /** works: true unless said otherwise */
  readonly create_host_path?: boolean;
  readonly propagation?: 'rprivate' | 'private' | 'rshared' | 'shared' | 'rslave' | 'slave';
  /** refused but for `enabled`: bind mounts always include what is mounted below. Instead: remove it */
  readonly recursive?: string;
  /** harmless: hosts with SELinux keep their labels (with a warning) */
  readonly selinux?: string;
  readonly [key: `x-${string}`]: Json;
};

export type ComposeServicePreStartVolumesImage = {
  readonly subpath?: string;
  readonly [key: `x-${string}`]: Json;
};

export type ComposeServicePreStartVolumesTmpfs = {
  readonly mode?: number;
  readonly size?: string;
  readonly [key: `x-${string}`]: Json;
};

export type ComposeServicePreStartVolumesVolume = {
  /** works: of an anonymous volume; a named one has them at the top level */
  readonly labels?: { readonly [name: string]: string };
  readonly nocopy?: boolean;
  readonly subpath?: string;
  readonly [key: `x-${string}`]: Json;
};

export type ComposeServiceXOnDisconnect = {
  /** works: keep (the default): it runs on; stop: it ends by itself, and is replaced elsewhere only after that */
  readonly action?: 'keep' | 'stop';
  /** works: 30s unless given, 5s at least; with stop */
  readonly after?: string;
  readonly [key: `x-${string}`]: Json;
};

export type ComposeServiceXPlacement = {
  /** works: spread (the default): evenly; binpack: fill nodes one after the other; random */
  readonly strategy?: 'spread' | 'binpack' | 'random';
  readonly [key: `x-${string}`]: Json;
};

export type ComposeServiceXPod = {
  /** works: containers that run one after the other, each to exit code 0, before all others */
  readonly init?: readonly ComposeServiceXPodInit[];
  /** works: containers beside the service's own, by name */
  readonly sidecars?: { readonly [name: string]: ComposeServiceXPodSidecars };
  /** works: directories that the pod's containers share and that live as long as the pod */
  readonly volumes?: { readonly [name: string]: ComposeServiceXPodVolumes };
  readonly [key: `x-${string}`]: Json;
};

export type ComposeServiceXPodInit = {
  readonly annotations?: { readonly [name: string]: string };
  /** harmless: it concerns the terminal of docker compose up */
  readonly attach?: boolean;
  readonly blkio_config?: ComposeServiceBlkioConfig;
  /** refused: images are not built on the hosts. Instead: build it with your tool, then `tsorch image load FILE`, and name it with image */
  readonly build?: Json;
  readonly cap_add?: readonly string[];
  readonly cap_drop?: readonly string[];
  /** works: private unless given */
  readonly cgroup?: 'host' | 'private';
  /** works: below the agent's own cgroup */
  readonly cgroup_parent?: string;
  readonly command?: readonly string[];
  readonly configs?: readonly ComposeServiceConfigs[];
  /** refused: it is for Windows. Instead: use deploy.resources.limits.cpus */
  readonly cpu_count?: Json;
  /** refused: it is for Windows. Instead: use deploy.resources.limits.cpus */
  readonly cpu_percent?: Json;
  /** works: with cpu_quota: cpus is the quotient */
  readonly cpu_period?: number;
  /** works: with cpu_period (100000 unless given) */
  readonly cpu_quota?: number;
  /** works: microseconds or a duration */
  readonly cpu_rt_period?: number;
  /** works: microseconds or a duration */
  readonly cpu_rt_runtime?: number;
  readonly cpu_shares?: number;
  /** works: the same as deploy.resources.limits.cpus */
  readonly cpus?: number;
  readonly cpuset?: string;
  /** refused: it is for Windows. Instead: remove it */
  readonly credential_spec?: Json;
  /** refused: the container runs once, before the others, and ends. Instead: remove it, or make the container a sidecar */
  readonly depends_on?: Json;
  readonly deploy?: ComposeServicePreStartDeploy;
  /** works: such as `c 1:3 rwm` */
  readonly device_cgroup_rules?: readonly string[];
  readonly devices?: readonly ComposeServiceDevices[];
  /** refused: the containers of a pod have it in common. Instead: put it into the service */
  readonly dns?: Json;
  /** refused: the containers of a pod have it in common. Instead: put it into the service */
  readonly dns_opt?: Json;
  /** refused: the containers of a pod have it in common. Instead: put it into the service */
  readonly dns_search?: Json;
  /** refused: the containers of a pod have it in common. Instead: put it into the service */
  readonly domainname?: Json;
  readonly entrypoint?: readonly string[];
  /** works: `constraint:KEY==VALUE` entries of a service place it, as in classic Swarm */
  readonly environment?: { readonly [name: string]: string | null };
  /** harmless: pods that share a network reach every port of each other */
  readonly expose?: readonly string[];
  /** refused: the containers of a pod have it in common. Instead: put it into the service */
  readonly external_links?: Json;
  /** refused: the containers of a pod have it in common. Instead: put it into the service */
  readonly extra_hosts?: Json;
  /** works: the node's CDI devices; the pod goes to a node that says it has a `gpu` */
  readonly gpus?: readonly ComposeServiceGpus[];
  readonly group_add?: readonly string[];
  /** refused: the container runs once, before the others, and ends. Instead: remove it, or make the container a sidecar */
  readonly healthcheck?: Json;
  /** refused: the containers of a pod have it in common. Instead: put it into the service */
  readonly hostname?: Json;
  readonly image?: string;
  readonly init?: boolean;
  /** works: host, none, private (as without), shareable; `service:NAME` and `container:NAME` within the pod */
  readonly ipc?: string;
  /** refused but for `default`: it is for Windows. Instead: remove it */
  readonly isolation?: string;
  /** works: `com.docker.swarm.constraints` of a service places it */
  readonly labels?: { readonly [name: string]: string };
  /** refused: the containers of a pod have it in common. Instead: put it into the service */
  readonly links?: Json;
  /** works: json-file and local: the logs that `tsorch logs` shows */
  readonly logging?: ComposeServiceLogging;
  /** refused: the containers of a pod have it in common. Instead: put it into the service */
  readonly mac_address?: Json;
  /** works: the same as deploy.resources.limits.memory */
  readonly mem_limit?: string;
  /** works: the same as deploy.resources.reservations.memory */
  readonly mem_reservation?: string;
  /** works: -1 is the host's */
  readonly mem_swappiness?: number;
  readonly memswap_limit?: string;
  /** works: SERVICE-init-N unless given */
  readonly name?: string;
  /** refused: the containers of a pod have it in common. Instead: put it into the service */
  readonly network_mode?: Json;
  /** refused: the containers of a pod have it in common. Instead: put it into the service */
  readonly networks?: Json;
  /** works: only with a memory limit, so that it cannot take the node down */
  readonly oom_kill_disable?: boolean;
  readonly oom_score_adj?: number;
  /** works: host; `service:NAME` and `container:NAME` within the pod */
  readonly pid?: string;
  readonly pids_limit?: number;
  /** refused: the container runs once, before the others, and ends. Instead: remove it, or make the container a sidecar */
  readonly ports?: Json;
  /** refused: the container runs once, before the others, and ends. Instead: remove it, or make the container a sidecar */
  readonly post_start?: Json;
  /** refused: the container runs once, before the others, and ends. Instead: remove it, or make the container a sidecar */
  readonly pre_stop?: Json;
  readonly privileged?: boolean;
  /** works: always, missing (if_not_present), never, daily, weekly, `every_12h`, refresh with pull_refresh_after */
  readonly pull_policy?: string;
  /** works: with pull_policy: refresh */
  readonly pull_refresh_after?: string;
  readonly read_only?: boolean;
  /** refused: the container runs once, before the others, and ends. Instead: remove it, or make the container a sidecar */
  readonly restart?: Json;
  readonly runtime?: string;
  readonly secrets?: readonly ComposeServiceConfigs[];
  readonly security_opt?: readonly string[];
  readonly shm_size?: string;
  readonly stdin_open?: boolean;
  /** refused: the containers of a pod have it in common. Instead: put it into the service */
  readonly stop_grace_period?: Json;
  readonly stop_signal?: string;
  /** works: `size`: what the writable layer may take */
  readonly storage_opt?: { readonly [name: string]: string };
  /** refused: the containers of a pod have it in common. Instead: put it into the service */
  readonly sysctls?: Json;
  /** works: `PATH[:OPTION,…]`: size, mode, uid, gid, exec, ro and others */
  readonly tmpfs?: readonly string[];
  readonly tty?: boolean;
  readonly ulimits?: { readonly [name: string]: ComposeServicePreStartUlimits };
  /** refused: there is no Docker socket on the hosts. Instead: use the HTTP API of the master with a token */
  readonly use_api_socket?: boolean;
  readonly user?: string;
  /** works: host unless given; private: user 0 inside is nobody outside */
  readonly userns_mode?: 'host' | 'private';
  readonly uts?: 'host';
  readonly volumes?: readonly ComposeServicePreStartVolumes[];
  /** refused: the containers of a pod have it in common. Instead: put it into the service */
  readonly volumes_from?: Json;
  readonly working_dir?: string;
  /** refused: the container runs once, before the others, and ends. Instead: remove it, or make the container a sidecar */
  readonly 'x-probes'?: Json;
  readonly [key: `x-${string}`]: Json;
};

export type ComposeServiceXPodSidecars = {
  readonly annotations?: { readonly [name: string]: string };
  /** harmless: it concerns the terminal of docker compose up */
  readonly attach?: boolean;
  readonly blkio_config?: ComposeServiceBlkioConfig;
  /** refused: images are not built on the hosts. Instead: build it with your tool, then `tsorch image load FILE`, and name it with image */
  readonly build?: Json;
  readonly cap_add?: readonly string[];
  readonly cap_drop?: readonly string[];
  /** works: private unless given */
  readonly cgroup?: 'host' | 'private';
  /** works: below the agent's own cgroup */
  readonly cgroup_parent?: string;
  readonly command?: readonly string[];
  readonly configs?: readonly ComposeServiceConfigs[];
  /** refused: it is for Windows. Instead: use deploy.resources.limits.cpus */
  readonly cpu_count?: Json;
  /** refused: it is for Windows. Instead: use deploy.resources.limits.cpus */
  readonly cpu_percent?: Json;
  /** works: with cpu_quota: cpus is the quotient */
  readonly cpu_period?: number;
  /** works: with cpu_period (100000 unless given) */
  readonly cpu_quota?: number;
  /** works: microseconds or a duration */
  readonly cpu_rt_period?: number;
  /** works: microseconds or a duration */
  readonly cpu_rt_runtime?: number;
  readonly cpu_shares?: number;
  /** works: the same as deploy.resources.limits.cpus */
  readonly cpus?: number;
  readonly cpuset?: string;
  /** refused: it is for Windows. Instead: remove it */
  readonly credential_spec?: Json;
  /** works: other containers of the pod */
  readonly depends_on?: { readonly [name: string]: ComposeServiceDependsOn };
  readonly deploy?: ComposeServicePreStartDeploy;
  /** works: such as `c 1:3 rwm` */
  readonly device_cgroup_rules?: readonly string[];
  readonly devices?: readonly ComposeServiceDevices[];
  /** refused: the containers of a pod have it in common. Instead: put it into the service */
  readonly dns?: Json;
  /** refused: the containers of a pod have it in common. Instead: put it into the service */
  readonly dns_opt?: Json;
  /** refused: the containers of a pod have it in common. Instead: put it into the service */
  readonly dns_search?: Json;
  /** refused: the containers of a pod have it in common. Instead: put it into the service */
  readonly domainname?: Json;
  readonly entrypoint?: readonly string[];
  /** works: `constraint:KEY==VALUE` entries of a service place it, as in classic Swarm */
  readonly environment?: { readonly [name: string]: string | null };
  /** harmless: pods that share a network reach every port of each other */
  readonly expose?: readonly string[];
  /** refused: the containers of a pod have it in common. Instead: put it into the service */
  readonly external_links?: Json;
  /** refused: the containers of a pod have it in common. Instead: put it into the service */
  readonly extra_hosts?: Json;
  /** works: the node's CDI devices; the pod goes to a node that says it has a `gpu` */
  readonly gpus?: readonly ComposeServiceGpus[];
  readonly group_add?: readonly string[];
  readonly healthcheck?: ComposeServiceHealthcheck;
  /** refused: the containers of a pod have it in common. Instead: put it into the service */
  readonly hostname?: Json;
  readonly image?: string;
  readonly init?: boolean;
  /** works: host, none, private (as without), shareable; `service:NAME` and `container:NAME` within the pod */
  readonly ipc?: string;
  /** refused but for `default`: it is for Windows. Instead: remove it */
  readonly isolation?: string;
  /** works: `com.docker.swarm.constraints` of a service places it */
  readonly labels?: { readonly [name: string]: string };
  /** refused: the containers of a pod have it in common. Instead: put it into the service */
  readonly links?: Json;
  /** works: json-file and local: the logs that `tsorch logs` shows */
  readonly logging?: ComposeServiceLogging;
  /** refused: the containers of a pod have it in common. Instead: put it into the service */
  readonly mac_address?: Json;
  /** works: the same as deploy.resources.limits.memory */
  readonly mem_limit?: string;
  /** works: the same as deploy.resources.reservations.memory */
  readonly mem_reservation?: string;
  /** works: -1 is the host's */
  readonly mem_swappiness?: number;
  readonly memswap_limit?: string;
  /** refused: the containers of a pod have it in common. Instead: put it into the service */
  readonly network_mode?: Json;
  /** refused: the containers of a pod have it in common. Instead: put it into the service */
  readonly networks?: Json;
  /** works: only with a memory limit, so that it cannot take the node down */
  readonly oom_kill_disable?: boolean;
  readonly oom_score_adj?: number;
  /** works: host; `service:NAME` and `container:NAME` within the pod */
  readonly pid?: string;
  readonly pids_limit?: number;
  /** works: they are the service's */
  readonly ports?: readonly ComposeServicePorts[];
  /** works: run in order in the container once it has started */
  readonly post_start?: readonly ComposeServicePostStart[];
  /** works: run in order in the container before the stop signal, within the grace period */
  readonly pre_stop?: readonly ComposeServicePostStart[];
  readonly privileged?: boolean;
  /** works: always, missing (if_not_present), never, daily, weekly, `every_12h`, refresh with pull_refresh_after */
  readonly pull_policy?: string;
  /** works: with pull_policy: refresh */
  readonly pull_refresh_after?: string;
  readonly read_only?: boolean;
  /** works: the service's unless given */
  readonly restart?: string;
  readonly runtime?: string;
  readonly secrets?: readonly ComposeServiceConfigs[];
  readonly security_opt?: readonly string[];
  readonly shm_size?: string;
  readonly stdin_open?: boolean;
  /** refused: the containers of a pod have it in common. Instead: put it into the service */
  readonly stop_grace_period?: Json;
  readonly stop_signal?: string;
  /** works: `size`: what the writable layer may take */
  readonly storage_opt?: { readonly [name: string]: string };
  /** refused: the containers of a pod have it in common. Instead: put it into the service */
  readonly sysctls?: Json;
  /** works: `PATH[:OPTION,…]`: size, mode, uid, gid, exec, ro and others */
  readonly tmpfs?: readonly string[];
  readonly tty?: boolean;
  readonly ulimits?: { readonly [name: string]: ComposeServicePreStartUlimits };
  /** refused: there is no Docker socket on the hosts. Instead: use the HTTP API of the master with a token */
  readonly use_api_socket?: boolean;
  readonly user?: string;
  /** works: host unless given; private: user 0 inside is nobody outside */
  readonly userns_mode?: 'host' | 'private';
  readonly uts?: 'host';
  readonly volumes?: readonly ComposeServicePreStartVolumes[];
  /** refused: the containers of a pod have it in common. Instead: put it into the service */
  readonly volumes_from?: Json;
  readonly working_dir?: string;
  /** works: Kubernetes' three probes */
  readonly 'x-probes'?: ComposeServiceXPodSidecarsXProbes;
  readonly [key: `x-${string}`]: Json;
};

export type ComposeServiceXPodSidecarsXProbes = {
  /** works: its failure ends the attempt, and the restart policy decides */
  readonly liveness?: ComposeServiceXPodSidecarsXProbesLiveness;
  /** works: decides whether the pod gets traffic; never ends anything */
  readonly readiness?: ComposeServiceXPodSidecarsXProbesLiveness;
  /** works: until it has passed the others are not asked; its failure ends the attempt */
  readonly startup?: ComposeServiceXPodSidecarsXProbesLiveness;
  readonly [key: `x-${string}`]: Json;
};

export type ComposeServiceXPodSidecarsXProbesLiveness = {
  /** works: a list is run as it is, a string by /bin/sh -c; exit code 0 passes */
  readonly exec?: readonly string[];
  /** works: 3 unless given */
  readonly failure_threshold?: number;
  /** works: grpc.health.v1, SERVING passes; short: `9000`, `9000/service` */
  readonly grpc?: ComposeServiceXPodSidecarsXProbesLivenessGrpc;
  /** works: 200 to 399 passes; short: `:8080/healthz`, `https://:8443/healthz` */
  readonly http?: ComposeServiceXPodSidecarsXProbesLivenessHttp;
  /** works: 0s unless given */
  readonly initial_delay?: string;
  /** works: 10s unless given */
  readonly period?: string;
  /** works: 1 unless given, and for startup and liveness always */
  readonly success_threshold?: number;
  /** works: a connection passes; short: `5432` */
  readonly tcp?: ComposeServiceXPodSidecarsXProbesLivenessTcp;
  /** works: 1s unless given */
  readonly timeout?: string;
  readonly [key: `x-${string}`]: Json;
};

export type ComposeServiceXPodSidecarsXProbesLivenessGrpc = {
  readonly port: number;
  readonly service?: string;
  readonly [key: `x-${string}`]: Json;
};

export type ComposeServiceXPodSidecarsXProbesLivenessHttp = {
  readonly headers?: { readonly [name: string]: string };
  /** works: the pod's address unless given */
  readonly host?: string;
  /** works: / unless given */
  readonly path?: string;
  readonly port: number;
  /** works: https takes any certificate */
  readonly scheme?: 'http' | 'https';
  readonly [key: `x-${string}`]: Json;
};

export type ComposeServiceXPodSidecarsXProbesLivenessTcp = {
  readonly host?: string;
  readonly port: number;
  readonly [key: `x-${string}`]: Json;
};

export type ComposeServiceXPodVolumes = {
  /** works: kept in memory instead of on disk */
  readonly medium?: 'memory';
  /** works: what it may take; of one in memory */
  readonly size?: string;
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
  readonly enable_ipv4?: boolean;
  /** refused: not supported yet. Instead: remove it */
  readonly enable_ipv6?: boolean;
  readonly external?: boolean;
  readonly internal?: boolean;
  /** harmless: the cluster gives the addresses (with a warning) */
  readonly ipam?: Json;
  readonly labels?: { readonly [name: string]: string };
  readonly name?: string;
  readonly [key: `x-${string}`]: Json;
};

export type ComposeVolume = {
  /** works: local, or a volume plugin of the hosts, by its socket in `/run/docker/plugins` */
  readonly driver?: string;
  /** works: of local: `type`, `o` and `device` are mounted as Docker does, `size` limits a directory where the file system counts by project, and may be changed; a plugin gets them as they are */
  readonly driver_opts?: { readonly [name: string]: string };
  readonly external?: boolean;
  readonly labels?: { readonly [name: string]: string };
  readonly name?: string;
  /** works: every slot of a service that mounts it has a volume of its own, `NAME.SLOT` */
  readonly 'x-per-replica'?: boolean;
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
  /** works: golang: filled in for every pod, see Templates */
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
  /** works: golang: filled in for every pod, see Templates */
  readonly template_driver?: string;
  readonly [key: `x-${string}`]: Json;
};
