export interface AgentOptions {
  /** Name of this host. */
  readonly host: string;
  /** Its underlay address. */
  readonly address: string;
  /** Interface of the underlay. */
  readonly nic: string;
  /** Controllers, `host:port` or `unix:/path`; tried in turn. */
  readonly servers: readonly string[];
  /** A bpffs, or a directory where one is mounted. */
  readonly bpffs: string;
  /** The agent's own files: namespaces it made, the id of the store it follows. */
  readonly state: string;
  /** The BPF object; the one beside the program when absent. */
  readonly object?: string | undefined;
  /** `host:port` or `unix:/path` of /metrics, /healthz and /readyz; none when absent. */
  readonly metrics?: string | undefined;
  readonly nicHook?: NicHook | undefined;
  /** Of the underlay, in bytes; the interface's when absent. */
  readonly mtu?: number | undefined;
  readonly weight?: number | undefined;
  readonly zone?: string | undefined;
  /** pino's level. */
  readonly log?: string | undefined;
}

/** How the bouncer is attached: `auto` chooses by driver and by what the host does. */
export type NicHook = 'auto' | 'native' | 'generic' | 'tc';

export interface Agent {
  /** Where metrics are served, when asked for. */
  readonly metrics: string | undefined;
  /** Ends the session and the loop. The datapath stays as it is. */
  close(): Promise<void>;
}

export const version = '0.1.0';
