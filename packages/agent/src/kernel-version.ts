import { MegrezError } from '@megrez/model';

/** The first with tcx, whose links replace a program without a packet in between that sees none. */
const oldest = { major: 6, minor: 6 } as const;

/** @throws MegrezError FAILED_PRECONDITION / KERNEL_TOO_OLD; `release` is what `uname -r` says */
export const requireKernel = (host: string, release: string): void => {
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(release) ?? [];
  const is = { major: Number(major), minor: Number(minor) };
  if (is.major > oldest.major || (is.major === oldest.major && is.minor >= oldest.minor)) return;
  throw new MegrezError({
    code: 'FAILED_PRECONDITION',
    reason: 'KERNEL_TOO_OLD',
    object: `host ${host}`,
    message: `this host runs Linux ${release}: Megrez needs ${oldest.major}.${oldest.minor} or newer (for tcx)`,
  });
};
