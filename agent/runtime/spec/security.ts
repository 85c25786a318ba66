/** `security_opt:` entries, understood. */
import { TsorchError } from '../../../model/errors.ts';

export interface SecurityOptions {
  /** `default`, `unconfined`, or the path of a profile file on the host, or the profile itself when it begins with `{`. */
  readonly seccomp: string;
  /** Profile name; null when not asked for. `unconfined` is a name too. */
  readonly apparmor: string | null;
  readonly noNewPrivileges: boolean;
  /** `label=…` parts by key (user, role, type, level); `disable` switches SELinux off. */
  readonly selinux: Readonly<Record<string, string>>;
  /** /proc and /sys paths that are otherwise masked or read-only stay as they are. */
  readonly openSystemPaths: boolean;
}

/** Both `key=value` and the older `key:value`. Throws `invalid` for what is not known. */
export function parseSecurityOptions(options: readonly string[]): SecurityOptions {
  const result = { seccomp: 'default', apparmor: null as string | null, noNewPrivileges: false, selinux: {} as Record<string, string>, openSystemPaths: false };
  for (const option of options) {
    const [, key = option, value] = /^([a-z-]+)(?:[=:](.*))?$/s.exec(option.trim()) ?? [];
    if (key === 'no-new-privileges') result.noNewPrivileges = flag(option, value);
    else if (key === 'seccomp' && value) result.seccomp = value;
    else if (key === 'apparmor' && value) result.apparmor = value;
    else if (key === 'systempaths' && value === 'unconfined') result.openSystemPaths = true;
    else if (key === 'label' && value) {
      const [, part = value, text = ''] = /^(user|role|type|level|disable)(?::(.*))?$/.exec(value) ?? [];
      if (!/^(user|role|type|level|disable)$/.test(part)) throw unknown(option);
      result.selinux[part] = text;
    } else throw unknown(option);
  }
  return result;
}

function flag(option: string, value: string | undefined): boolean {
  if (value === undefined || value === 'true') return true;
  if (value === 'false') return false;
  throw unknown(option);
}

function unknown(option: string): TsorchError {
  return new TsorchError('invalid', `security option ${JSON.stringify(option)} is not known`, {
    hint: 'known are seccomp=, apparmor=, no-new-privileges, label=, systempaths=unconfined',
  });
}
