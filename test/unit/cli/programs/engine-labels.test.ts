import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { engineLabels, gpuLabel, operatingSystem } from '../../../../cli/programs/engine-labels.ts';

test('GPUs are counted by their device files', () => {
  expect(gpuLabel(['null', 'nvidia0', 'nvidia1', 'nvidiactl', 'nvidia-uvm', 'nvidia-modeset'])).toEqual({ 'tsorch.resource.gpu': '2' });
  expect(gpuLabel(['null', 'nvidiactl'])).toEqual({});
});

test('the system is named as os-release names it', () => {
  const directory = mkdtempSync(path.join(tmpdir(), 'tsorch-os-release-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const file = path.join(directory, 'os-release');
  for (const [text, name] of [['NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n', 'Debian GNU/Linux 12 (bookworm)'], ["PRETTY_NAME='Alpine Linux v3.20'", 'Alpine Linux v3.20'], ['PRETTY_NAME=Void\n', 'Void']] as const) {
    writeFileSync(file, text);
    expect(operatingSystem(file)).toBe(name);
  }
  expect(operatingSystem(path.join(directory, 'none'))).not.toBe('');
});

test('what classic Swarm said of every engine is there', () => {
  expect(Object.keys(engineLabels('1.6.20'))).toEqual(expect.arrayContaining(['containerd', 'storagedriver', 'executiondriver', 'kernelversion', 'operatingsystem']));
});
