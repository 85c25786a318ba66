/** The volume plugins of this host: found by name when they are needed, asked once what they are. */
import { TsorchError } from '../../../model/errors.ts';
import type { VolumeDriverStatus } from '../../../model/node.ts';
import { isRecord } from '../../state.ts';
import { isRefusal, listens, pluginClient, type PluginClient } from './client.ts';
import { dockerDirectories, findPlugin, listPlugins, type PluginAddress, type PluginDirectories } from './discover.ts';

/** How long a plugin may take, as Docker has it: attaching a disk of a cloud takes its time. Milliseconds. */
export interface PluginTimes {
  readonly activate: number;
  /** Create, Remove, Mount, Unmount. */
  readonly long: number;
  /** Get, List, Path, Capabilities. */
  readonly short: number;
}

export const dockerTimes: PluginTimes = { activate: 10_000, long: 120_000, short: 60_000 };

export interface PluginVolume {
  readonly name: string;
  readonly mountpoint: string;
  readonly status: Readonly<Record<string, unknown>>;
}

/** A plugin that has said it drives volumes. */
export class VolumePlugin {
  readonly scope: VolumeDriverStatus['scope'];
  readonly #client: PluginClient;
  readonly #times: PluginTimes;
  readonly #name: string;

  constructor(name: string, client: PluginClient, times: PluginTimes, scope: VolumeDriverStatus['scope']) {
    this.#name = name;
    this.#client = client;
    this.#times = times;
    this.scope = scope;
  }

  /** Null when it has no such volume: plugins say so in words of their own, so every refusal counts. */
  async get(volume: string): Promise<PluginVolume | null> {
    try {
      const { Volume: found } = await this.#client.call('VolumeDriver.Get', { Name: volume }, this.#times.short);
      return isRecord(found) ? { name: volume, mountpoint: textOf(found['Mountpoint']), status: isRecord(found['Status']) ? found['Status'] : {} } : null;
    } catch (error) {
      if (isRefusal(error)) return null;
      throw error;
    }
  }

  /** Makes it unless it is there. Another host may make it at the same moment. */
  async ensure(volume: string, options: Readonly<Record<string, string>>): Promise<void> {
    if (await this.get(volume)) return;
    try {
      await this.#client.call('VolumeDriver.Create', { Name: volume, Opts: options }, this.#times.long);
    } catch (error) {
      if (!isRefusal(error) || !(await this.get(volume))) throw error;
    }
  }

  /** The directory it is mounted at on this host. */
  async mount(volume: string, id: string): Promise<string> {
    const { Mountpoint: answered } = await this.#client.call('VolumeDriver.Mount', { Name: volume, ID: id }, this.#times.long);
    const mountpoint = textOf(answered) || (await this.path(volume));
    if (!mountpoint.startsWith('/') || mountpoint.includes('\0')) throw new TsorchError('unavailable', `the volume driver ${this.#name} says that ${volume} is mounted at ${JSON.stringify(mountpoint)}, which is no path`);
    return mountpoint;
  }

  async path(volume: string): Promise<string> {
    return textOf((await this.#client.call('VolumeDriver.Path', { Name: volume }, this.#times.short))['Mountpoint']);
  }

  async unmount(volume: string, id: string): Promise<void> {
    await this.#client.call('VolumeDriver.Unmount', { Name: volume, ID: id }, this.#times.long);
  }

  /** Succeeds when there is none. */
  async remove(volume: string): Promise<void> {
    if (!(await this.list()).includes(volume)) return;
    await this.#client.call('VolumeDriver.Remove', { Name: volume }, this.#times.long);
  }

  /** Names of all its volumes. */
  async list(): Promise<readonly string[]> {
    const { Volumes: found } = await this.#client.call('VolumeDriver.List', {}, this.#times.short);
    return Array.isArray(found) ? found.flatMap((each: unknown) => (isRecord(each) && typeof each['Name'] === 'string' ? [each['Name']] : [])) : [];
  }
}

export interface PluginsOptions {
  readonly directories?: PluginDirectories;
  readonly times?: PluginTimes;
}

export class Plugins {
  readonly #directories: PluginDirectories;
  readonly #times: PluginTimes;
  /** Those that have been asked, by name; a new file or socket is asked anew. */
  readonly #known = new Map<string, { readonly address: PluginAddress; readonly plugin: Promise<VolumePlugin | null> }>();

  constructor(options: PluginsOptions = {}) {
    this.#directories = options.directories ?? dockerDirectories;
    this.#times = options.times ?? dockerTimes;
  }

  /** `unavailable` when there is none, it does not answer, or it drives no volumes. */
  async get(name: string): Promise<VolumePlugin> {
    const address = await findPlugin(name, this.#directories);
    if (!address) {
      this.#known.delete(name);
      throw new TsorchError('unavailable', `this node has no volume driver ${name}`, { hint: `start its plugin there; sockets are looked for in ${this.#directories.sockets}, files in ${this.#directories.files.join(' and ')}` });
    }
    const plugin = await this.#ask(address, this.#times.activate);
    if (!plugin) throw new TsorchError('unavailable', `the plugin ${name} of this node drives no volumes`, { hint: 'check driver' });
    return plugin;
  }

  /** Those that answer now, by name. */
  async status(timeoutMs = 2000): Promise<readonly VolumeDriverStatus[]> {
    const found = await Promise.all((await listPlugins(this.#directories)).map(async (name): Promise<readonly VolumeDriverStatus[]> => {
      try {
        const address = await findPlugin(name, this.#directories);
        const plugin = address && (await listens(address, timeoutMs)) ? await this.#ask(address, timeoutMs) : null;
        return plugin ? [{ name, scope: plugin.scope }] : [];
      } catch {
        return [];
      }
    }));
    return found.flat();
  }

  async #ask(address: PluginAddress, timeoutMs: number): Promise<VolumePlugin | null> {
    const known = this.#known.get(address.name);
    if (known && known.address.url === address.url && known.address.version === address.version) return known.plugin;
    const asked = { address, plugin: this.#activate(address, timeoutMs) };
    this.#known.set(address.name, asked);
    asked.plugin.catch(() => {
      if (this.#known.get(address.name) === asked) this.#known.delete(address.name);
    });
    return asked.plugin;
  }

  async #activate(address: PluginAddress, timeoutMs: number): Promise<VolumePlugin | null> {
    const client = pluginClient(address);
    const { Implements: kinds } = await client.call('Plugin.Activate', {}, timeoutMs);
    if (!Array.isArray(kinds) || !kinds.includes('VolumeDriver')) return null;
    return new VolumePlugin(address.name, client, this.#times, await scopeOf(client, Math.min(timeoutMs, this.#times.short)));
  }
}

/** Plugins older than the question answer with an error: theirs are local. */
async function scopeOf(client: PluginClient, timeoutMs: number): Promise<VolumeDriverStatus['scope']> {
  try {
    const { Capabilities: capabilities } = await client.call('VolumeDriver.Capabilities', {}, timeoutMs);
    return isRecord(capabilities) && capabilities['Scope'] === 'global' ? 'global' : 'local';
  } catch (error) {
    if (isRefusal(error)) return 'local';
    throw error;
  }
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
