/**
 * The example's images, as data: Debian packages (with what they depend on) and our own files, in layers. Images that name the
 * same first layers share them.
 */
export interface LayerDefinition {
  readonly name: string;
  /** Debian packages; their dependencies come along, except `leftOut`. */
  readonly packages?: readonly string[];
  /** Files of the repository: path in the image → path from the repository's root. */
  readonly files?: Readonly<Record<string, string>>;
  /** Commands for /bin/sh, run with the layer's directory as the working directory. */
  readonly script?: readonly string[];
}

export interface ImageDefinition {
  readonly name: string;
  readonly tag: string;
  readonly layers: readonly LayerDefinition[];
  /** The OCI image configuration's `config`. */
  readonly config: Readonly<Record<string, unknown>>;
}

/**
 * What packages depend on for installing or administering them, never for running them. Patterns for whole names.
 */
export const leftOut: readonly RegExp[] = [
  /^(adduser|debconf|dpkg|tar|passwd|init-system-helpers|lsb-base|sysvinit-utils|ucf|usrmerge|sensible-utils|ssl-cert|openssl|locales|libc-l10n|netbase)$/,
  /^(perl|libperl|libdb|libgdbm|libfile-|libtext-|libnumber-|libjson-perl).*/,
  /^(libpam-modules|libpam-runtime|libsemanage|libsepol).*/,
  // PostgreSQL's just-in-time compiler: 120 MB for queries the example does not have; `jit = off`.
  /^(libllvm|libz3|postgresql-common|postgresql-client-common).*/,
];

const base: LayerDefinition = {
  name: 'base',
  packages: ['libc6', 'busybox-static'],
  script: [
    'mkdir -p tmp run var/tmp var/lib root home proc sys dev etc usr/bin usr/sbin usr/local/bin',
    'chmod 1777 tmp var/tmp; chmod 700 root',
    'for a in sh ls cat cp mv rm mkdir rmdir chmod chown echo env id ps kill sleep head tail grep sed awk wc sort uniq cut tr find xargs date hostname ip ping nslookup wget nc vi less more top df du mount umount touch ln readlink stat test true false printf pwd seq tee uname which whoami tar gzip gunzip expr basename dirname sha256sum dd od hexdump ulimit netstat; do [ -e usr/bin/$a ] || ln -s busybox usr/bin/$a; done',
    '[ -e usr/bin/busybox ] || ln -s ../../bin/busybox usr/bin/busybox',
    "printf 'root:x:0:0:root:/root:/bin/sh\\nredis:x:999:999:Redis:/data:/bin/sh\\npostgres:x:998:998:PostgreSQL:/var/lib/postgresql:/bin/sh\\napp:x:1000:1000:Application:/app:/bin/sh\\nnobody:x:65534:65534:nobody:/:/bin/false\\n' > etc/passwd",
    "printf 'root:x:0:\\ntty:x:5:\\nredis:x:999:\\npostgres:x:998:\\napp:x:1000:\\nnogroup:x:65534:\\n' > etc/group",
    "printf 'hosts: files dns\\n' > etc/nsswitch.conf",
  ],
};

/** With the base in it, so that Python can run while the layer is made: without compiled modules every start costs seconds. */
const python: LayerDefinition = {
  name: 'python',
  packages: [...(base.packages ?? []), 'python3', 'python3-redis', 'python3-psycopg2'],
  script: [...(base.script ?? []), 'chroot . /usr/bin/python3 -m compileall -q --invalidation-mode unchecked-hash /usr/lib/python3 /usr/lib/python3.*'],
};

const path = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

function service(name: string, config: Readonly<Record<string, unknown>>): ImageDefinition {
  return {
    name: `voting-${name}`, tag: '1',
    layers: [python, { name, files: { [`app/${name}.py`]: `deploy/examples/voting/${name}/${name}.py` } }],
    config: { Env: [path, 'PYTHONUNBUFFERED=1', 'PYTHONDONTWRITEBYTECODE=1'], WorkingDir: '/app', User: 'app', Cmd: ['python3', `/app/${name}.py`], ...config },
  };
}

export const images: readonly ImageDefinition[] = [
  service('vote', { ExposedPorts: { '80/tcp': {} } }),
  service('result', { ExposedPorts: { '80/tcp': {} } }),
  service('worker', {}),
  {
    name: 'redis', tag: '7',
    layers: [base, { name: 'redis', packages: ['redis-server'], script: ['rm -rf etc/redis etc/init.d etc/logrotate.d lib/systemd usr/lib/systemd', 'mkdir -p data; chown 999:999 data'] }],
    config: {
      Env: [path], WorkingDir: '/data', User: 'redis', Volumes: { '/data': {} }, ExposedPorts: { '6379/tcp': {} },
      Cmd: ['redis-server', '--bind', '*', '--protected-mode', 'no', '--dir', '/data'],
    },
  },
  {
    name: 'postgres', tag: '15',
    layers: [base, {
      name: 'postgres', packages: ['postgresql'],
      files: { 'usr/local/bin/start-postgres': 'deploy/images/start-postgres.sh' },
      script: [
        'rm -rf usr/lib/postgresql/*/lib/bitcode usr/lib/postgresql/*/lib/llvmjit* etc/init.d lib/systemd usr/lib/systemd',
        'ln -s ../lib/postgresql/"$(ls usr/lib/postgresql)" usr/share/postgresql-current',
        'mkdir -p var/lib/postgresql/data var/run/postgresql run/postgresql; chown -R 998:998 var/lib/postgresql run/postgresql; chmod 700 var/lib/postgresql/data; chmod 755 usr/local/bin/start-postgres',
      ],
    }],
    config: {
      Env: [`${path}:/usr/share/postgresql-current/bin`, 'PGDATA=/var/lib/postgresql/data', 'LANG=C.UTF-8'], WorkingDir: '/var/lib/postgresql', User: 'postgres',
      Volumes: { '/var/lib/postgresql/data': {} }, ExposedPorts: { '5432/tcp': {} }, StopSignal: 'SIGINT', Cmd: ['/usr/local/bin/start-postgres'],
    },
  },
];
