interface Codec<T> {
  readonly size: number;
  readonly decode: (buffer: Buffer, offset?: number) => T;
}

/** One value per possible CPU: the kernel rounds each up to 8 bytes. */
export const decodePerCpu = <T>({ size, decode }: Codec<T>, buffer: Buffer): readonly T[] => {
  const stride = (size + 7) & ~7;
  if (buffer.length % stride !== 0) throw new RangeError(`${buffer.length} bytes are no per-CPU values of ${stride}`);
  return Array.from({ length: buffer.length / stride }, (_, cpu) => decode(buffer, cpu * stride));
};
