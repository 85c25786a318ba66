/** Why a pod stops, and whether it has done what it was for. */
import { hasFailed, hasSucceeded, localOf, policyOf } from './containers.ts';
import { inVain } from './order.ts';
import type { ContainerLocal, Plan, StepInput, Stop } from './types.ts';

type Containers = Readonly<Record<string, ContainerLocal>>;

/**
 * The pod's stop, once there is a reason for one. The first reason stays.
 *
 * A pod ends with its main container, the first: what runs beside it is then stopped. It ends when an init container has failed for
 * good, too. A container beside the main one may end without it: the pod runs on, and when that one failed it is not ready any more,
 * as in Kubernetes.
 */
export function stopOf(input: StepInput, plan: Plan, containers: Containers): Stop | null {
  if (input.local.stop) return input.local.stop;
  const last = (name: string) => localOf({ containers }, name).ended.at(-1);
  const pod = input.assignment?.pod;
  const [main] = plan.containers;
  // What ended by itself before it was asked to has its own result.
  const init = plan.initContainers?.find(({ name }) => hasFailed(localOf({ containers }, name)));
  if (init) return { cause: 'ended', failed: true, message: `init container ${init.name} failed: ${last(init.name)?.message ?? ''}` };
  if (!main) return { cause: 'ended', failed: false, message: 'done' };
  if (hasFailed(localOf({ containers }, main.name))) return { cause: 'ended', failed: true, message: last(main.name)?.message ?? 'failed' };
  if (hasSucceeded(localOf({ containers }, main.name))) return { cause: 'ended', failed: false, message: last(main.name)?.message ?? 'done' };
  const vain = inVain(plan, { containers }, main);
  if (vain !== undefined) return { cause: 'ended', failed: true, message: `${vain} did not complete successfully: ${last(vain)?.message ?? ''}` };
  if (input.removed || pod?.desired === 'stopped') return { cause: 'asked', failed: false, message: pod?.reason ? `stopped: ${pod.reason}` : input.removed ? 'removed' : 'stopped' };
  const limit = plan.onDisconnect?.stopAfterMs;
  if (limit !== undefined && input.alone.ms >= limit) return { cause: 'alone', failed: true, message: `stopped: no master for ${Math.round(limit / 1000)} s` };
  return null;
}

/** Milliseconds until the pod stops because no master was heard of; undefined when it never does. */
export function leftAlone({ alone }: Pick<StepInput, 'alone'>, plan: Plan): number | undefined {
  return plan.onDisconnect && Math.max(0, plan.onDisconnect.stopAfterMs - alone.ms);
}

/**
 * Whether the pod is not to begin yet. Since the host's start no master was heard of, so nobody knows how long the host was away: another
 * may run in its place by now.
 */
export function isHeld({ alone }: Pick<StepInput, 'alone'>, plan: Plan): boolean {
  return plan.onDisconnect !== undefined && !alone.heard;
}

/**
 * Whether a stopped pod has failed. One that was asked to stop has done all it was for when its policy would have run it for ever;
 * one that is meant to end by itself (a job) has only when its main container exited with 0.
 */
export function isFailure(stop: Stop, plan: Plan, containers: Containers): boolean {
  if (stop.cause === 'ended') return stop.failed;
  const [main] = plan.containers;
  if (!main) return false;
  const { condition } = policyOf(plan, main.name);
  return condition !== 'any' && condition !== 'unless-stopped' && localOf({ containers }, main.name).ended.at(-1)?.exitCode !== 0;
}
