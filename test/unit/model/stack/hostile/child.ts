/** Loads one case after the other and prints what became of it, one JSON line each. The heap it may use is bound by its parent. */
import { loadStack } from '../../../../../model/stack/load.ts';
import { cases } from './inputs.ts';

// The first load pays for code that is compiled but once.
loadStack({ files: [{ path: 's.yml', content: 'services: { a: { image: x } }\n---\n{}' }], env: {}, workingDir: '/w', readFile: () => null });
for (const { name, make } of cases) {
  const { text, ...input } = make();
  const before = process.cpuUsage();
  const result = loadStack({ files: [{ path: 's.yml', content: text }], env: {}, workingDir: '/w', readFile: () => null, ...input });
  const { user, system } = process.cpuUsage(before);
  const errors = result.ok ? [] : result.errors.filter(({ severity }) => severity === 'error');
  const line = { name, ms: Math.round((user + system) / 1000), errors: errors.map(({ at, message }) => ({ at, message: message })), longest: Math.max(0, ...errors.map(({ message, path, excerpt }) => message.length + path.length + (excerpt?.length ?? 0))) };
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
