import { join } from 'node:path';
import { genevePort } from '@megrez/abi';
import { attachTcx, createTunnel, getLink, setLink, setSysctl } from '@megrez/kernel';
import type { Datapath } from './datapath';
import { isKernelError } from './failure';

export const tunnelName = 'megrez-gro';

/**
 * A kernel tunnel device that holds our UDP port: without its socket the kernel aggregates no packet of ours on receive.
 * It never carries one; what `nic` does not want ends in it, and goes no further: whoever reaches the port could put any
 * frame before the host's own stack otherwise.
 */
export const ensureTunnel = async ({ object, links }: Datapath): Promise<void> => {
  const ifindex = (await getLink({ name: tunnelName }))?.ifindex ?? (await make());
  await attachTcx(object.program('tunnel'), ifindex, { pin: join(links, 'tunnel'), direction: 'ingress' });
  await setLink({ ifindex, up: true });
};

const make = async (): Promise<number> => {
  const { ifindex } = await create();
  try {
    await setSysctl({ path: `net/ipv6/conf/${tunnelName}/disable_ipv6`, value: 1 });
  } catch (error) {
    if (!isKernelError(error, 'ENOENT')) throw error;
  }
  return ifindex;
};

const create = async (): Promise<{ readonly ifindex: number }> => {
  const options = { name: tunnelName, port: genevePort, external: true, up: false } as const;
  try {
    return await createTunnel({ ...options, kind: 'geneve' });
  } catch (error) {
    if (!isKernelError(error, 'EOPNOTSUPP')) throw error;
    // GRO tells tunnels apart by port, and an option-less Geneve header is as long as VXLAN's.
    return createTunnel({ ...options, kind: 'vxlan' });
  }
};
