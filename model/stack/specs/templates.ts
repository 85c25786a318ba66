/** Swarm's templates are tried when the file is read: what would go wrong with a pod is shown in the file. */
import { isNamed } from '../../assign.ts';
import type { ContainerSpec } from '../../spec.ts';
import { expandPayload, expandTemplate, type TemplateContext } from '../../template/swarm.ts';
import { inside, scalar } from '../parse/tree.ts';
import type { StackContext } from './context.ts';
import type { Reader } from './reader.ts';

/** The text with what the pod will make of it; as it is when that goes wrong. */
export function checkTemplate(at: Reader, text: string, sample: TemplateContext): string {
  const made = expandTemplate(text, sample);
  if ('ok' in made) return made.ok;
  at.sink.error(inside(at.node ?? scalar(at.mark, null), made.offset), at.path, `the template ${JSON.stringify(text.length > 60 ? `${text.slice(0, 57)}…` : text)}: ${made.error}`,
    'the names are .Service.ID .Name .Labels, .Node.ID .Hostname .Platform, .Task.ID .Name .Slot');
  return text;
}

/** Secrets and configs with `template_driver`, with what this container has. */
export function checkPayloads(name: string, { env, secrets, configs }: ContainerSpec, sample: TemplateContext, context: StackContext): void {
  const known = { secret: new Map([...context.secrets.values()].map((made) => [made.spec.name, made])), config: new Map([...context.configs.values()].map((made) => [made.spec.name, made])) };
  const get = (kind: 'secret' | 'config') => (target: string): string | undefined =>
    // Its content does not matter here, and that of an external one is not known.
    ((kind === 'secret' ? secrets : configs).some((reference) => isNamed(reference, kind, target)) ? 'x' : undefined);
  for (const [kind, references] of [['secret', secrets], ['config', configs]] as const) {
    for (const { source } of references) {
      const template = known[kind].get(source)?.template;
      if (!template) continue;
      const made = expandPayload(template.text, sample, { env: (variable) => env[variable] ?? undefined, secret: get('secret'), config: get('config') });
      if ('error' in made) context.session.sink.error(template.at(made.offset), template.path, `the template of ${source}, for ${name}: ${made.error}`);
    }
  }
}
