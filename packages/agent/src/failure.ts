import { KernelError } from '@megrez/kernel';
import { Failure, MegrezError } from '@megrez/model';

/** A refusal of the kernel's as users shall read it. */
const reasons: Readonly<Record<string, string>> = {
  ENOSPC: 'MAP_FULL',
  E2BIG: 'MAP_FULL',
  EEXIST: 'INTERFACE_EXISTS',
  EBUSY: 'INTERFACE_BUSY',
};

/** What the controller is told of an object that could not be applied. */
export const failureOf = (
  error: unknown,
  generation: number,
  object: Pick<Failure, 'vni' | 'subnetNumber' | 'ip'> = { vni: 0, subnetNumber: 0, ip: '' },
): Failure => {
  const { vni, subnetNumber, ip } = object;
  const where = { generation, vni, subnetNumber, ip };
  if (error instanceof MegrezError) return Failure.create({ ...where, reason: error.reason, message: error.message });
  const message = error instanceof Error ? error.message : String(error);
  const reason = error instanceof KernelError ? (reasons[error.code] ?? 'KERNEL_REFUSED') : 'AGENT_ERROR';
  return Failure.create({ ...where, reason, message });
};

export const isKernelError = (error: unknown, ...codes: readonly string[]): boolean =>
  error instanceof KernelError && codes.includes(error.code);
