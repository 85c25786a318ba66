/**
 * The loader on a stack of a thousand services, against what the `yaml` package alone takes for the same text in the same run.
 * `node test/bench/stack.ts`.
 */
import { parse } from 'yaml';
import { loadStack } from '../../model/stack/load.ts';

const services = 1000;
const rounds = 15;

const text = stackText(services);
const times: Record<'yaml' | 'loader' | 'loader, first' | 'and canonical', number[]> = { yaml: [], 'loader, first': [], loader: [], 'and canonical': [] };
/** One load besides those measured, for the model that `config` prints and `apply` does not need. */
const load = (): ReturnType<typeof loadStack> => loadStack({ files: [{ path: 'stack.yml', content: text }], env: {}, workingDir: '/srv/big', readFile: () => null });
for (let round = 0; round < rounds; round++) {
  // Interleaved, so that both see the same machine.
  time(round === 0 ? 'loader, first' : 'loader', () => {
    const result = load();
    if (!result.ok) throw new Error(result.errors[0]?.message);
    if (Object.keys(result.stack.services).length !== services) throw new Error('services are missing');
  });
  time('yaml', () => parse(text, { maxAliasCount: -1 }));
  time('and canonical', () => {
    const result = load();
    return result.ok ? result.compose.name : null;
  });
}

process.stdout.write(`${services} services, ${(text.length / 1024).toFixed(0)} KiB\n`);
for (const [name, list] of Object.entries(times)) {
  const sorted = list.toSorted((a, b) => a - b);
  process.stdout.write(`${name.padEnd(14)} median ${median(sorted).toFixed(0)} ms, best ${(sorted[0] ?? 0).toFixed(0)} ms, worst ${(sorted.at(-1) ?? 0).toFixed(0)} ms\n`);
}
process.stdout.write(`loader / yaml   ${(median(times.loader.toSorted((a, b) => a - b)) / median(times.yaml.toSorted((a, b) => a - b))).toFixed(2)}\n`);

function time(name: keyof typeof times, run: () => unknown): void {
  const begun = performance.now();
  run();
  times[name].push(performance.now() - begun);
}

function median(sorted: readonly number[]): number {
  return sorted[sorted.length >> 1] ?? Number.NaN;
}

/** Services as people write them: image, command, variables, ports, networks, volumes, health, placement, limits. */
function stackText(count: number): string {
  const body = Array.from({ length: count }, (_, i) => `  svc${i}:
    image: registry.example/team/app-${i % 40}:1.${i}
    command: ["serve", "--port", "8080"]
    environment:
      LOG_LEVEL: \${LEVEL:-info}
      URL: http://svc${(i + 1) % count}:8080/x
      INDEX: "${i}"
    ports:
      - "8080"
    networks: [front, back]
    volumes:
      - data${i % 100}:/data
    depends_on:
      - ${i === 0 ? 'base' : `svc${i - 1}`}
    healthcheck:
      test: ["CMD", "curl", "-f", "http://localhost"]
      interval: 10s
    deploy:
      replicas: 3
      placement:
        constraints:
          - node.labels.type == ${i % 2 === 0 ? 'frontend' : 'backend'}
      resources:
        limits:
          cpus: "0.5"
          memory: 256M
    restart: always
`).slice(0, count - 1).join('');
  const volumes = Array.from({ length: 100 }, (_, i) => `  data${i}: {}\n`).join('');
  return `services:\n  base:\n    image: registry.example/base\n${body}networks:\n  front:\n  back:\nvolumes:\n${volumes}`;
}
