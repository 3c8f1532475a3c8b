/** What TypeScript needs of bpf/wire.h; wire.spec.ts holds it to the header. */
export const genevePort = 6081;
/** Of every Geneve option of ours; in the experimental range. */
export const optionClass = 0xff4d;
/** Bytes: the endpoint MTU is the underlay MTU minus this. */
export const encapsulationMax = 114;
/** The gateway of every subnet, seen from its endpoints. */
export const gatewayMac: readonly number[] = [0x02, 0x4d, 0x67, 0x77, 0x00, 0x01];
