/** All rows there are. */
import { deploy } from './deploy.ts';
import { files } from './files.ts';
import { images } from './image.ts';
import { lifecycle } from './lifecycle.ts';
import { limits } from './limits.ts';
import { mounts } from './mounts.ts';
import { networks } from './names.ts';
import { pods } from './pods.ts';
import { ports } from './ports.ts';
import { probes } from './probes.ts';
import { process } from './process.ts';
import { project } from './project.ts';
import type { Theme } from './row.ts';
import { security } from './security.ts';
import { shared } from './shared.ts';
import { updating } from './updates.ts';
import { waits } from './waits.ts';

export const themes: readonly Theme[] = [shared, waits, limits, process, security, mounts, files, networks, ports, lifecycle, pods, probes, deploy, images, project, updating];
