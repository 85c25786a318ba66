/** Which device nodes a container may open: the device cgroup's rules. */
import { TsorchError } from '../../../model/errors.ts';
import type { HostDevice } from './facts.ts';
import type { OciDeviceRule } from './oci.ts';

/** Everything for a privileged container; else nothing but the given devices and what `device_cgroup_rules` adds. */
export function deviceRules(privileged: boolean, devices: readonly HostDevice[], rules: readonly string[]): readonly OciDeviceRule[] {
  if (privileged) return [{ allow: true, access: 'rwm' }];
  const own = devices.map(({ type, major, minor, permissions }) => ({ allow: true, type, major, minor, access: permissions }));
  // The runtimes themselves allow null, zero, full, random, tty and the like.
  return [{ allow: false, access: 'rwm' }, ...own, ...rules.map(parseDeviceRule)];
}

/** `c 1:3 rwm`, `b 8:* r`, `a *:* rwm`. Throws `invalid`. */
export function parseDeviceRule(text: string): OciDeviceRule {
  const [, type, major = '', minor = '', access = ''] = /^([abc])\s+(\d+|\*):(\d+|\*)\s+([rwm]{1,3})$/.exec(text.trim()) ?? [];
  if (type === undefined) {
    throw new TsorchError('invalid', `device rule ${JSON.stringify(text)} is not understood`, { hint: 'write it as the kernel does: TYPE MAJOR:MINOR ACCESS, such as "c 1:3 rwm" or "b 8:* r"' });
  }
  return { allow: true, type: type as 'a' | 'b' | 'c', ...number('major', major), ...number('minor', minor), access };
}

/** A star is said by leaving the number out. */
function number(name: 'major' | 'minor', text: string): { readonly major?: number; readonly minor?: number } {
  return text === '*' ? {} : { [name]: Number(text) };
}
