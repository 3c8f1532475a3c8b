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
  told: 19,
  told_arp: 20,
  told_none: 21,
  told_gone: 22,
  told_echo: 23,
  unreachable: 24,
  fragment_needed: 25,
  time_exceeded: 26,
  drop: 27,
  no_port: 28,
  malformed: 29,
  vlan: 30,
  ethertype: 31,
  spoofed_mac: 32,
  spoofed_ip: 33,
  spoofed_arp: 34,
  arp_self: 35,
  arp_reply: 36,
  broadcast: 37,
  multicast: 38,
  to_self: 39,
  to_gateway: 40,
  no_route: 41,
  too_big: 42,
  expired: 43,
  unknown_address: 44,
  ask_budget: 45,
  no_owner: 46,
  no_next_hop: 47,
  forged_source: 48,
  forged_host: 49,
  forged_cookie: 50,
  stale: 51,
  bad_option: 52,
  unknown_option: 53,
  unknown_op: 54,
  hops: 55,
  not_holder: 56,
  not_here: 57,
  foreign: 58,
  kernel: 59,
  count: 60,
} as const;
export type Verdict = (typeof Verdict)[keyof typeof Verdict];
export type VerdictName = keyof typeof Verdict;
