/** Stacks that are measured. The image is a busybox of two megabytes; servers and clients that measure are Python. */

export const tinyImage = 'tsorch-bench:1';
export const pythonImage = 'voting-vote:1';

export interface IdleOptions {
  readonly replicas: number;
  /** Only on this node. */
  readonly node?: string;
  readonly hostNetwork?: boolean;
}

/** Pods that do nothing. A stop is a kill, so that stopping measures the orchestrator and not a program's good will. */
export function idle({ replicas, node, hostNetwork = false }: IdleOptions): string {
  return `services:
  idle:
    image: ${tinyImage}
    command: ["sleep", "1000000"]
    stop_signal: SIGKILL
    ${hostNetwork ? 'network_mode: host' : 'networks: [default]'}
    deploy:
      replicas: ${replicas}
      ${node === undefined ? '' : `placement: { constraints: ["node.hostname == ${node}"] }`}
`;
}

/** Takes a connection, answers with a byte, closes. `argv`: port. */
const acceptor = `import socket, sys
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("", int(sys.argv[1])))
s.listen(1024)
while True:
    try:
        c = s.accept()[0]
        c.send(b".")
        c.close()
    except OSError:
        pass
`;

/**
 * Connects to all targets in turn, round by round; connect() alone is timed, closing is a reset. Prints the microseconds of each
 * connection by target as JSON. `argv`: rounds, connections per round, then name=address:port…
 */
export const prober = `import json, socket, struct, sys, time
rounds, count = int(sys.argv[1]), int(sys.argv[2])
targets = []
for each in sys.argv[3:]:
    name, address = each.split("=")
    host, port = address.split(":")
    targets.append((name, (host, int(port))))
linger = struct.pack("ii", 1, 0)
times = {name: [] for name, _ in targets}
for r in range(rounds):
    for name, address in targets[r % len(targets):] + targets[:r % len(targets)]:
        for _ in range(count):
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            begun = time.perf_counter_ns()
            s.connect(address)
            took = time.perf_counter_ns() - begun
            s.recv(1)
            s.close()
            times[name].append(took / 1000)
print(json.dumps(times))
`;

/**
 * Connects to one target again and again until its input ends; prints how often, and each failure with its time, as JSON.
 * `argv`: host, port, pause in seconds.
 */
const knocker = `import json, select, socket, struct, sys, time
host, port, pause = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
linger = struct.pack("ii", 1, 0)
sent, failures = 0, []
print("ready", flush=True)
while not select.select([sys.stdin], [], [], pause)[0]:
    begun = time.time()
    s = socket.socket()
    s.settimeout(2)
    try:
        s.connect((host, port))
        if s.recv(1) != b".":
            raise OSError("closed without an answer")
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    except OSError as error:
        failures.append({"at": begun * 1000, "until": time.time() * 1000, "error": str(error)})
    s.close()
    sent += 1
print(json.dumps({"sent": sent, "failures": failures}))
`;

const script = (name: string, text: string) => `  ${name}:\n    content: |\n${text.split('\n').map((line) => `      ${line}\n`).join('')}`;
export const scripts = `configs:\n${script('acceptor', acceptor)}${script('prober', prober)}${script('knocker', knocker)}`;

export interface ServerOptions {
  readonly replicas: number;
  readonly node?: string;
  readonly published?: number;
  readonly port?: number;
  readonly hostNetwork?: boolean;
  /** Changes the pods and nothing they do. */
  readonly version?: number;
  readonly order?: 'start-first' | 'stop-first';
  readonly check?: boolean;
}

export function server(name: string, { replicas, node, published, port = 7000, hostNetwork = false, version = 0, order = 'stop-first', check = true }: ServerOptions): string {
  return `  ${name}:
    image: ${pythonImage}
    command: ["python3", "-S", "/acceptor.py", "${port}"]
    environment: { VERSION: "${version}" }
    stop_signal: SIGKILL
    configs: [{ source: acceptor, target: /acceptor.py }]
    ${hostNetwork ? 'network_mode: host' : 'networks: [default]'}
    ${published === undefined ? '' : `ports: ["${published}:${port}"]`}
    ${check ? `healthcheck: { test: ["CMD-SHELL", "nc 127.0.0.1 ${port} </dev/null"], interval: 5s, start_period: 10s, start_interval: 100ms }` : ''}
    deploy:
      replicas: ${replicas}
      update_config: { order: ${order}, parallelism: 1, delay: 0s, monitor: 0s }
      ${node === undefined ? '' : `placement: { constraints: ["node.hostname == ${node}"] }`}
`;
}

/** Runs clients by exec. */
export function client(name: string, node?: string): string {
  return `  ${name}:
    image: ${pythonImage}
    command: ["sleep", "1000000"]
    stop_signal: SIGKILL
    configs: [{ source: prober, target: /prober.py }, { source: knocker, target: /knocker.py }]
    networks: [default]
    deploy:
      replicas: 1
      ${node === undefined ? '' : `placement: { constraints: ["node.hostname == ${node}"] }`}
`;
}
