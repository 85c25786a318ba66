/** `image`, and when it is asked of the registry: `pull_policy`, `pull_refresh_after`. */
import type { ContainerSpec } from '../../spec.ts';
import { nameOf } from '../path.ts';
import { parseDuration } from '../values/duration.ts';
import { imageProblem } from './image.ts';
import type { Reader } from './reader.ts';

export function makeImage(of: Reader): string {
  const image = of.text('image');
  if (image === undefined) {
    // With `build` the refusal of that key says all; an `extends` that is still there failed, and its error says all.
    const said = ['build', 'provider', 'extends'].some((key) => of.has(key));
    if (!of.has('image') && !said) of.error(`the ${kindOf(of)} ${nameOf(of.path)} has no image`, 'name one: image: …');
    else if (of.has('image') && of.at('image').node) of.at('image').error('the image is empty', 'name one');
    return '';
  }
  const problem = imageProblem(image);
  if (problem !== null) of.at('image').error(problem, image === '' ? 'a variable in it may not be set' : undefined);
  return image;
}

function kindOf({ path }: Reader): string {
  if (typeof path?.key === 'number') return 'container';
  return path?.parent?.key === 'sidecars' ? 'sidecar' : 'service';
}

const day = 86_400_000;

/** `daily` and the like take what is there until the last pull is so long ago. */
export function makePull(of: Reader): Pick<ContainerSpec, 'pullPolicy' | 'pullRefreshMs'> {
  const text = of.text('pull_policy');
  const after = of.at('pull_refresh_after');
  if (text !== 'refresh' && after.node) after.error('pull_refresh_after says nothing without pull_policy: refresh', 'add it, or remove this');
  switch (text) {
    case undefined: case '': case 'missing': case 'if_not_present': return { pullPolicy: 'missing' };
    case 'always': case 'never': return { pullPolicy: text };
    case 'daily': return refreshed(day);
    case 'weekly': return refreshed(7 * day);
    case 'refresh': {
      const ms = of.ms('pull_refresh_after');
      if (ms === undefined) of.at('pull_policy').error('pull_policy: refresh needs pull_refresh_after', 'add such as pull_refresh_after: 24h');
      return refreshed(ms ?? day);
    }
    default: {
      const ms = text.startsWith('every_') ? parseDuration(text.slice('every_'.length)) : null;
      if (ms !== null) return refreshed(ms);
      if (text === 'build') of.at('pull_policy').error('pull_policy: build is refused: images are not built on the hosts', 'build it with your tool, then `tsorch image load FILE`');
      else of.at('pull_policy').error(`there is no pull policy ${JSON.stringify(text)}`, 'the policies are always, missing, never, daily, weekly, every_12h and refresh');
      return { pullPolicy: 'missing' };
    }
  }
}

function refreshed(ms: number): Pick<ContainerSpec, 'pullPolicy' | 'pullRefreshMs'> {
  return ms === 0 ? { pullPolicy: 'always' } : { pullPolicy: 'missing', pullRefreshMs: ms };
}
