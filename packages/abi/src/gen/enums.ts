// Generated from the BTF of bpf/ (npm run generate). Do not edit.

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
  hosts_max: 8192,
  networks_max: 8192,
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
  told: 16,
  told_arp: 17,
  told_none: 18,
  drop: 19,
  no_port: 20,
  malformed: 21,
  vlan: 22,
  ethertype: 23,
  spoofed_mac: 24,
  spoofed_ip: 25,
  spoofed_arp: 26,
  arp_self: 27,
  arp_reply: 28,
  broadcast: 29,
  multicast: 30,
  to_self: 31,
  to_gateway: 32,
  no_route: 33,
  too_big: 34,
  unknown_address: 35,
  ask_budget: 36,
  no_owner: 37,
  no_next_hop: 38,
  forged_source: 39,
  forged_host: 40,
  forged_cookie: 41,
  stale: 42,
  bad_option: 43,
  unknown_option: 44,
  unknown_op: 45,
  hops: 46,
  not_holder: 47,
  not_here: 48,
  foreign: 49,
  kernel: 50,
  count: 51,
} as const;
export type Verdict = (typeof Verdict)[keyof typeof Verdict];
export type VerdictName = keyof typeof Verdict;
