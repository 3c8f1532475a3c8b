import type { Vpc } from '@megrez/model';
import { type Row, type RowKey, row, rowKey } from './row';

export const planVpc = ({ vni, meta }: Vpc): readonly Row[] => [
  row('networks', { vni }, { generation: meta?.generation ?? 0 }),
];

/** Every row that a VPC may have. */
export const vpcKeys = (vni: number): readonly RowKey[] => [rowKey('networks', { vni })];
