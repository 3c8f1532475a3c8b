import { release } from 'node:os';
import { AgentReport } from '@megrez/model';
import { version } from './options';

export interface ReportFields {
  readonly nic: string;
  readonly underlay_mtu: number;
  readonly endpoint_mtu: number;
  readonly hook: () => string;
  readonly mappings: () => number;
  readonly endpoints: () => number;
  readonly lookups_per_s: () => number;
  readonly silentHosts: () => readonly string[];
  readonly problems: () => readonly string[];
}

export interface Reporter {
  current(): AgentReport;
  /** The report, when it is not the one this gave last. */
  changed(): AgentReport | undefined;
}

export const reporter = (fields: ReportFields): Reporter => {
  let last = '';
  const current = (): AgentReport =>
    AgentReport.create({
      version,
      kernel: release(),
      nic: fields.nic,
      nicHook: fields.hook(),
      underlayMtu: fields.underlay_mtu,
      endpointMtu: fields.endpoint_mtu,
      mappings: fields.mappings(),
      endpoints: fields.endpoints(),
      lookupsPerSecond: fields.lookups_per_s(),
      silentHosts: [...fields.silentHosts()],
      problems: [...fields.problems()],
    });
  return {
    current,
    changed: () => {
      const report = current();
      const text = JSON.stringify(report);
      if (text === last) return undefined;
      last = text;
      return report;
    },
  };
};
