import { type Cidr, overlaps, parseCidr } from '../cidr';
import { limits } from '../limits';
import { about, refuse } from './fields';

/** What no tenant can use: hosts treat these addresses specially. */
const reserved = [
  ['0.0.0.0/8', 'addresses of "this network"'],
  ['127.0.0.0/8', 'loopback addresses'],
  ['169.254.0.0/16', 'link-local addresses'],
  ['224.0.0.0/4', 'multicast addresses'],
  ['240.0.0.0/4', 'reserved addresses'],
  ['::/32', 'special addresses'],
  ['fe80::/10', 'link-local addresses'],
  ['ff00::/8', 'multicast addresses'],
].map(([text = '', what = '']) => ({ cidr: parseCidr(text), what }));

/**
 * The prefixes of a VPC or subnet: one or two, of different families, of a sensible length, without host bits.
 * @throws MegrezError INVALID_ARGUMENT / CIDR_MISSING, CIDR_FAMILY, CIDR_LENGTH, CIDR_RESERVED, CIDR_HOST_BITS,
 *   INVALID_CIDR
 */
export const cidrsField = (object: string, kind: 'vpc' | 'subnet', texts: readonly string[]): readonly Cidr[] => {
  if (texts.length === 0) throw refuse(object, 'CIDR_MISSING', `a ${kind} needs a CIDR, e.g. 10.0.0.0/16`);
  const cidrs = texts.map((text) => about(object, () => parseCidr(text)));
  if (new Set(cidrs.map((cidr) => cidr.family)).size < cidrs.length) {
    throw refuse(object, 'CIDR_FAMILY', `a ${kind} has at most one IPv4 and one IPv6 CIDR`);
  }
  for (const cidr of cidrs) {
    const { min, max } = limits[`${kind}_prefix`][cidr.family];
    if (cidr.length < min || cidr.length > max) {
      throw refuse(object, 'CIDR_LENGTH', `an IPv${cidr.family} ${kind} is /${min} to /${max}, not ${cidr.text}`);
    }
    const taken = reserved.find((range) => overlaps(range.cidr, cidr));
    if (taken !== undefined) {
      throw refuse(object, 'CIDR_RESERVED', `${cidr.text} holds ${taken.what} (${taken.cidr.text})`);
    }
  }
  return cidrs;
};
