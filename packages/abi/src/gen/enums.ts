// Generated from the BTF of bpf/ (npm run generate). Do not edit.

export const Affinity = {
  flow: 0,
  client_ip: 1,
} as const;
export type Affinity = (typeof Affinity)[keyof typeof Affinity];
export type AffinityName = keyof typeof Affinity;

export const EndpointFlag = {
  veth: 1,
} as const;
export type EndpointFlag = (typeof EndpointFlag)[keyof typeof EndpointFlag];
export type EndpointFlagName = keyof typeof EndpointFlag;

export const FlowState = {
  new: 0,
  established: 1,
  closing: 2,
} as const;
export type FlowState = (typeof FlowState)[keyof typeof FlowState];
export type FlowStateName = keyof typeof FlowState;

export const HoldingState = {
  loading: 1,
  serving: 2,
  leaving: 3,
} as const;
export type HoldingState = (typeof HoldingState)[keyof typeof HoldingState];
export type HoldingStateName = keyof typeof HoldingState;

export const Limit = {
  ports_max: 16384,
  endpoints_max: 32768,
  mappings_max: 1048576,
  paths_max: 65536,
  slots_max: 262144,
  routes_max: 65536,
  tombstones_max: 16384,
  hosts_max: 8192,
  networks_max: 8192,
  services_max: 8192,
  service_ports_max: 16384,
  backends_max: 131072,
  flows_max: 131072,
  young_flows_max: 65536,
  flows_per_port: 16384,
  flow_established_s: 7200,
  flow_closing_s: 60,
  service_buckets: 1021,
  notices_max: 16384,
  drops_max: 16384,
  underlay_prefixes_max: 256,
  slot_count: 256,
  hops_max: 4,
  option_bytes_max: 64,
  subnet_number_max: 16777215,
  notice_interval_ms: 10,
  cookie_window_shift: 31,
} as const;
export type Limit = (typeof Limit)[keyof typeof Limit];
export type LimitName = keyof typeof Limit;

export const PathState = {
  asked: 0,
  told: 1,
  none: 2,
  service: 3,
} as const;
export type PathState = (typeof PathState)[keyof typeof PathState];
export type PathStateName = keyof typeof PathState;

export const Program = {
  endpoint: 0,
  nic: 1,
  bouncer: 2,
  tunnel: 3,
  count: 4,
} as const;
export type Program = (typeof Program)[keyof typeof Program];
export type ProgramName = keyof typeof Program;

export const Refusal = {
  drop: 0,
  tell: 1,
} as const;
export type Refusal = (typeof Refusal)[keyof typeof Refusal];
export type RefusalName = keyof typeof Refusal;

export const Verdict = {
  pass: 0,
  direct: 1,
  direct_ask: 2,
  local: 3,
  ask_arp: 4,
  ask_data: 5,
  arp_gateway: 6,
  arp_local: 7,
  arp_path: 8,
  arp_owned: 9,
  ping_gateway: 10,
  delivered: 11,
  delivered_told: 12,
  answered: 13,
  answered_none: 14,
  forwarded: 15,
  forwarded_moved: 16,
  answered_gone: 17,
  answered_echo: 18,
  pinned: 19,
  told: 20,
  told_arp: 21,
  told_none: 22,
  told_gone: 23,
  told_echo: 24,
  told_service: 25,
  ping_service: 26,
  unreachable: 27,
  fragment_needed: 28,
  port_unreachable: 29,
  time_exceeded: 30,
  drop: 31,
  no_port: 32,
  malformed: 33,
  vlan: 34,
  ethertype: 35,
  spoofed_mac: 36,
  spoofed_ip: 37,
  spoofed_arp: 38,
  arp_self: 39,
  arp_reply: 40,
  broadcast: 41,
  multicast: 42,
  to_self: 43,
  to_gateway: 44,
  no_route: 45,
  too_big: 46,
  expired: 47,
  unknown_address: 48,
  ask_budget: 49,
  no_owner: 50,
  no_next_hop: 51,
  no_backend: 52,
  service_protocol: 53,
  service_fragment: 54,
  forged_source: 55,
  forged_host: 56,
  forged_cookie: 57,
  stale: 58,
  bad_option: 59,
  unknown_option: 60,
  unknown_op: 61,
  hops: 62,
  not_holder: 63,
  not_here: 64,
  foreign: 65,
  kernel: 66,
  count: 67,
} as const;
export type Verdict = (typeof Verdict)[keyof typeof Verdict];
export type VerdictName = keyof typeof Verdict;
