import { genevePort } from '@megrez/abi';
import { createTunnel, getLink, setLink, setSysctl } from '@megrez/kernel';
import { isKernelError } from './failure';

export const tunnelName = 'megrez-gro';

/**
 * A kernel tunnel device that holds our UDP port: without its socket the kernel aggregates no packet of ours on receive.
 * It never carries one; what `nic` does not want ends in it.
 */
export const ensureTunnel = async (): Promise<void> => {
  if ((await getLink({ name: tunnelName })) !== undefined) return;
  const options = { name: tunnelName, port: genevePort, external: true, up: false } as const;
  try {
    await createTunnel({ ...options, kind: 'geneve' });
  } catch (error) {
    if (!isKernelError(error, 'EOPNOTSUPP')) throw error;
    // GRO tells tunnels apart by port, and an option-less Geneve header is as long as VXLAN's.
    await createTunnel({ ...options, kind: 'vxlan' });
  }
  try {
    await setSysctl({ path: `net/ipv6/conf/${tunnelName}/disable_ipv6`, value: 1 });
  } catch (error) {
    if (!isKernelError(error, 'ENOENT')) throw error;
  }
  await setLink({ name: tunnelName, up: true });
};
