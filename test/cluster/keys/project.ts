/** Several files and services made into one stack: extends, include, profiles. */
import { expect } from 'vitest';
import type { Row, Theme } from './row.ts';

const rows: readonly Row[] = [
  { keys: ['services.extends', 'services.extends.service', 'services.extends.file'], form: 'of another file', service: 'extends: { file: base/common.yml, service: common }\nenvironment: { OWN: "1" }', says: 'echo "$OWN|$COMMON|$FILED"', see: '1|from common|from its own directory' },
  { keys: ['services.extends'], form: 'short, of the same file', service: 'extends: services-extends-base', others: 'services-extends-base: { image: "t-keys:1", command: ["sh", "-c", "echo == the end; exec sleep 1000"], environment: { BASE: here }, stop_grace_period: 0s }', see: async (seen) => expect(await seen.sh('echo $BASE')).toBe('here\n') },
  { keys: ['include', 'include.path', 'include.env_file', 'include.project_directory'], see: async (seen) => {
    expect(await seen.of('included-short').output()).toBe('unset\n');
    expect(await seen.of('included-long').output()).toBe('from its env file|data of the project\n');
  } },
  { keys: ['services.profiles'], form: 'switched on, and not', service: 'profiles: [wanted]', others: 'unwanted: { image: "t-keys:1", profiles: [unwanted] }', see: async (seen) => {
    expect((await seen.pods())[0]?.ready).toBe(true);
    expect((await seen.cluster.services()).map(({ id }) => id)).not.toContain('k-project_unwanted');
  } },
];

const says = (script: string) => JSON.stringify(['sh', '-c', `${script}; echo == the end; exec sleep 1000`]);

export const project: Theme = {
  name: 'k-project',
  flags: ['--profile', 'wanted'],
  files: {
    'base/common.yml': 'services:\n  common:\n    image: t-keys:1\n    environment: { COMMON: from common }\n    env_file: here.env\n',
    'base/here.env': 'FILED=from its own directory\n',
    'short.yml': `services:\n  included-short: { image: "t-keys:1", stop_grace_period: 0s, command: ${says('echo ${GIVEN:-unset}')} }\n`,
    'long.yml': `services:\n  included-long: { image: "t-keys:1", stop_grace_period: 0s, volumes: ["./data:/data"], command: ${says('echo "${GIVEN:-unset}|$$(cat /data/file)"')} }\n`,
    'given.env': 'GIVEN=from its env file\n',
    'elsewhere/data/file': 'data of the project\n',
  },
  top: 'include: [short.yml, { path: long.yml, env_file: given.env, project_directory: elsewhere }]',
  rows,
};
