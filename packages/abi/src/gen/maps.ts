// Generated from the BTF of bpf/ (npm run generate). Do not edit.
import { u32 } from '../bytes';
import { attachmentSize, backendKeySize, backendSize, budgetSize, configSize, counterSize, decodeAttachment, decodeBackend, decodeBackendKey, decodeBudget, decodeConfig, decodeCounter, decodeDropKey, decodeEndpoint, decodeEndpointKey, decodeFlow, decodeFlowKey, decodeHeard, decodeHolding, decodeHostKey, decodeHostState, decodeMapping, decodeNetwork, decodeNetworkKey, decodeNextHop, decodeNotice, decodeNoticeKey, decodeOuterBytes, decodePath, decodePort, decodePortKey, decodePrefix, decodePrefixKey, decodeQuota, decodeQuote, decodeRoute, decodeRouteKey, decodeServiceAddress, decodeServicePort, decodeServicePortKey, decodeSlotKey, decodeSlotOwners, decodeTombstone, decodeTraffic, dropKeySize, encodeAttachment, encodeBackend, encodeBackendKey, encodeBudget, encodeConfig, encodeCounter, encodeDropKey, encodeEndpoint, encodeEndpointKey, encodeFlow, encodeFlowKey, encodeHeard, encodeHolding, encodeHostKey, encodeHostState, encodeMapping, encodeNetwork, encodeNetworkKey, encodeNextHop, encodeNotice, encodeNoticeKey, encodeOuterBytes, encodePath, encodePort, encodePortKey, encodePrefix, encodePrefixKey, encodeQuota, encodeQuote, encodeRoute, encodeRouteKey, encodeServiceAddress, encodeServicePort, encodeServicePortKey, encodeSlotKey, encodeSlotOwners, encodeTombstone, encodeTraffic, endpointKeySize, endpointSize, flowKeySize, flowSize, heardSize, holdingSize, hostKeySize, hostStateSize, mappingSize, networkKeySize, networkSize, nextHopSize, noticeKeySize, noticeSize, outerBytesSize, pathSize, portKeySize, portSize, prefixKeySize, prefixSize, quotaSize, quoteSize, routeKeySize, routeSize, serviceAddressSize, servicePortKeySize, servicePortSize, slotKeySize, slotOwnersSize, tombstoneSize, trafficSize } from './structs';

/** Every map of the object, by its name there. */
export const maps = {
  hosts: {
    type: 'lru_hash',
    max_entries: 8192,
    key: { size: hostKeySize, encode: encodeHostKey, decode: decodeHostKey },
    value: { size: hostStateSize, encode: encodeHostState, decode: decodeHostState },
  },
  last_heard: {
    type: 'percpu_array',
    max_entries: 1,
    key: u32,
    value: { size: heardSize, encode: encodeHeard, decode: decodeHeard },
  },
  service_ports: {
    type: 'hash',
    max_entries: 16384,
    key: { size: servicePortKeySize, encode: encodeServicePortKey, decode: decodeServicePortKey },
    value: { size: servicePortSize, encode: encodeServicePort, decode: decodeServicePort },
  },
  backends: {
    type: 'hash',
    max_entries: 131072,
    key: { size: backendKeySize, encode: encodeBackendKey, decode: decodeBackendKey },
    value: { size: backendSize, encode: encodeBackend, decode: decodeBackend },
  },
  drops: {
    type: 'lru_percpu_hash',
    max_entries: 16384,
    key: { size: dropKeySize, encode: encodeDropKey, decode: decodeDropKey },
    value: { size: counterSize, encode: encodeCounter, decode: decodeCounter },
  },
  paths: {
    type: 'lru_hash',
    max_entries: 65536,
    key: { size: endpointKeySize, encode: encodeEndpointKey, decode: decodeEndpointKey },
    value: { size: pathSize, encode: encodePath, decode: decodePath },
  },
  mappings: {
    type: 'hash',
    max_entries: 1048576,
    key: { size: endpointKeySize, encode: encodeEndpointKey, decode: decodeEndpointKey },
    value: { size: mappingSize, encode: encodeMapping, decode: decodeMapping },
  },
  services: {
    type: 'hash',
    max_entries: 8192,
    key: { size: endpointKeySize, encode: encodeEndpointKey, decode: decodeEndpointKey },
    value: { size: serviceAddressSize, encode: encodeServiceAddress, decode: decodeServiceAddress },
  },
  budgets: {
    type: 'hash',
    max_entries: 16384,
    key: { size: portKeySize, encode: encodePortKey, decode: decodePortKey },
    value: { size: budgetSize, encode: encodeBudget, decode: decodeBudget },
  },
  quote_copy: {
    type: 'percpu_array',
    max_entries: 1,
    key: u32,
    value: { size: quoteSize, encode: encodeQuote, decode: decodeQuote },
  },
  quotas: {
    type: 'lru_hash',
    max_entries: 16384,
    key: { size: portKeySize, encode: encodePortKey, decode: decodePortKey },
    value: { size: quotaSize, encode: encodeQuota, decode: decodeQuota },
  },
  flow_copy: {
    type: 'percpu_array',
    max_entries: 1,
    key: u32,
    value: { size: flowSize, encode: encodeFlow, decode: decodeFlow },
  },
  young_flows: {
    type: 'lru_hash',
    max_entries: 65536,
    key: { size: flowKeySize, encode: encodeFlowKey, decode: decodeFlowKey },
    value: { size: flowSize, encode: encodeFlow, decode: decodeFlow },
  },
  flows: {
    type: 'hash',
    max_entries: 131072,
    key: { size: flowKeySize, encode: encodeFlowKey, decode: decodeFlowKey },
    value: { size: flowSize, encode: encodeFlow, decode: decodeFlow },
  },
  outer_copy: {
    type: 'percpu_array',
    max_entries: 1,
    key: u32,
    value: { size: outerBytesSize, encode: encodeOuterBytes, decode: decodeOuterBytes },
  },
  notices: {
    type: 'lru_hash',
    max_entries: 16384,
    key: { size: noticeKeySize, encode: encodeNoticeKey, decode: decodeNoticeKey },
    value: { size: noticeSize, encode: encodeNotice, decode: decodeNotice },
  },
  ports: {
    type: 'hash',
    max_entries: 16384,
    key: { size: portKeySize, encode: encodePortKey, decode: decodePortKey },
    value: { size: portSize, encode: encodePort, decode: decodePort },
  },
  endpoints: {
    type: 'hash',
    max_entries: 32768,
    key: { size: endpointKeySize, encode: encodeEndpointKey, decode: decodeEndpointKey },
    value: { size: endpointSize, encode: encodeEndpoint, decode: decodeEndpoint },
  },
  slots: {
    type: 'hash',
    max_entries: 262144,
    key: { size: slotKeySize, encode: encodeSlotKey, decode: decodeSlotKey },
    value: { size: slotOwnersSize, encode: encodeSlotOwners, decode: decodeSlotOwners },
  },
  holdings: {
    type: 'hash',
    max_entries: 262144,
    key: { size: slotKeySize, encode: encodeSlotKey, decode: decodeSlotKey },
    value: { size: holdingSize, encode: encodeHolding, decode: decodeHolding },
  },
  routes: {
    type: 'lpm_trie',
    max_entries: 65536,
    key: { size: routeKeySize, encode: encodeRouteKey, decode: decodeRouteKey },
    value: { size: routeSize, encode: encodeRoute, decode: decodeRoute },
  },
  tombstones: {
    type: 'hash',
    max_entries: 16384,
    key: { size: endpointKeySize, encode: encodeEndpointKey, decode: decodeEndpointKey },
    value: { size: tombstoneSize, encode: encodeTombstone, decode: decodeTombstone },
  },
  next_hops: {
    type: 'hash',
    max_entries: 8192,
    key: { size: hostKeySize, encode: encodeHostKey, decode: decodeHostKey },
    value: { size: nextHopSize, encode: encodeNextHop, decode: decodeNextHop },
  },
  networks: {
    type: 'hash',
    max_entries: 8192,
    key: { size: networkKeySize, encode: encodeNetworkKey, decode: decodeNetworkKey },
    value: { size: networkSize, encode: encodeNetwork, decode: decodeNetwork },
  },
  underlay: {
    type: 'lpm_trie',
    max_entries: 256,
    key: { size: prefixKeySize, encode: encodePrefixKey, decode: decodePrefixKey },
    value: { size: prefixSize, encode: encodePrefix, decode: decodePrefix },
  },
  config: {
    type: 'array',
    max_entries: 1,
    key: u32,
    value: { size: configSize, encode: encodeConfig, decode: decodeConfig },
  },
  attached: {
    type: 'array',
    max_entries: 1,
    key: u32,
    value: { size: attachmentSize, encode: encodeAttachment, decode: decodeAttachment },
  },
  traffic: {
    type: 'percpu_hash',
    max_entries: 16384,
    key: { size: portKeySize, encode: encodePortKey, decode: decodePortKey },
    value: { size: trafficSize, encode: encodeTraffic, decode: decodeTraffic },
  },
  path_copy: {
    type: 'percpu_array',
    max_entries: 2,
    key: u32,
    value: { size: pathSize, encode: encodePath, decode: decodePath },
  },
  counters: {
    type: 'percpu_array',
    max_entries: 268,
    key: u32,
    value: { size: counterSize, encode: encodeCounter, decode: decodeCounter },
  },
} as const;
export type MapName = keyof typeof maps;
