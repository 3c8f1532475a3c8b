import { createHash } from 'node:crypto';
import { type Address, formatAddress, parseAddress } from '@megrez/model';
import { endpointId } from '@megrez/plan';

/** Of the host's end: the same for the same address, so that a half-made one is found again. 14 characters. */
export const interfaceName = (vni: number, ip: Address): string =>
  `mz${createHash('sha256').update(endpointId(vni, ip)).digest('hex').slice(0, 12)}`;

const namePattern = /^mz[0-9a-f]{12}$/;
export const isInterfaceName = (name: string): boolean => namePattern.test(name);

/** What an interface of ours carries: who made it and for which endpoint. */
export const aliasOf = (vni: number, ip: Address): string => `megrez:${vni}/${formatAddress(ip)}`;

/** The endpoint of an alias; undefined for an interface that is not ours. */
export const parseAlias = (alias: string | undefined): { readonly vni: number; readonly ip: Address } | undefined => {
  const match = /^megrez:(\d+)\/([0-9a-fA-F.:]+)$/.exec(alias ?? '');
  if (match === null) return undefined;
  try {
    return { vni: Number(match[1]), ip: parseAddress(match[2] as string) };
  } catch {
    return undefined;
  }
};

/** File of the namespace that the agent makes for an endpoint. */
export const namespaceFile = (endpoint: {
  readonly vpc: string;
  readonly subnet: string;
  readonly name: string;
}): string => `${endpoint.vpc}.${endpoint.subnet}.${endpoint.name}`;
