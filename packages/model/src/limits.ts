/** Every limit of the API, stated once. Lengths of prefixes count in the family's own bits, both ends included. */
export const limits = {
  vpc_prefix: { 4: { min: 8, max: 28 }, 6: { min: 32, max: 120 } },
  subnet_prefix: { 4: { min: 8, max: 29 }, 6: { min: 32, max: 120 } },
  bouncers: 64,
  dividers: 64,
  /** 24 bits; 0 is no VNI. */
  vni: 0xff_ffff,
  page_size: 1_000,
  page_token_length: 1_024,
  request_id_length: 128,
  /** What 0 asks for, and the most. */
  timeout_ms: { default: 10_000, max: 600_000 },
  batch: 1_000,
  service_ports: 32,
  /** So that one txn (of etcd's 128 operations) replaces them all. */
  service_backends: 63,
  /** A day: the longest that a flow is remembered. */
  flow_ms: 86_400_000,
  weight: { default: 100, max: 10_000 },
  /** IFNAMSIZ - 1. */
  interface_name_length: 15,
  path_length: 4_095,
} as const;
