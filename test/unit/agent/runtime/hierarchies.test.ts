import { expect, test } from 'vitest';
import { hierarchiesOf } from '../../../../agent/runtime/cgroup.ts';

test('the same hierarchies are the same words, wherever the process is and whatever their numbers are', () => {
  const before = hierarchiesOf('12:pids:/a\n3:cpu,cpuacct:/b\n1:name=systemd:/\n0::/init.scope\n');
  expect(hierarchiesOf('7:cpu,cpuacct:/\n8:pids:/a/b:c\n1:name=systemd:/x\n0::/\n')).toBe(before);
  expect(hierarchiesOf('13:hugetlb:/\n12:pids:/a\n3:cpu,cpuacct:/b\n1:name=systemd:/\n0::/init.scope\n')).not.toBe(before);
});
