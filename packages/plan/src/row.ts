import { type MapName, maps } from '@megrez/abi';

/** One BPF map entry that a host must hold. */
export interface Row {
  readonly map: MapName;
  readonly key: Buffer;
  /** Of a per-CPU map: one CPU's. */
  readonly value: Buffer;
  /** The datapath writes the value: made when it is absent, left alone when not. */
  readonly kept?: true;
}

export interface RowKey {
  readonly map: MapName;
  readonly key: Buffer;
}

type Key<M extends MapName> = Parameters<(typeof maps)[M]['key']['encode']>[0];
type Value<M extends MapName> = Parameters<(typeof maps)[M]['value']['encode']>[0];

export const rowKey = <M extends MapName>(map: M, key: Key<M>): RowKey => {
  const encode = maps[map].key.encode as (key: Key<M>) => Buffer;
  return { map, key: encode(key) };
};

export const row = <M extends MapName>(map: M, key: Key<M>, value: Value<M>): Row => {
  const encode = maps[map].value.encode as (value: Value<M>) => Buffer;
  return { ...rowKey(map, key), value: encode(value) };
};

/** Tells rows apart: equal for the same entry of the same map. */
export const rowId = ({ map, key }: RowKey): string => `${map}/${key.toString('latin1')}`;
