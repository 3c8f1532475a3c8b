/** From Node's pool: rows come by the hundred thousand, and an ArrayBuffer each would cost more than they do. */
export const zeroed = (size: number): Buffer => Buffer.allocUnsafe(size).fill(0);

/** A 4-byte key or value in host order. */
export const u32 = {
  size: 4,
  encode: (value: number): Buffer => {
    const buffer = zeroed(4);
    buffer.writeUInt32LE(value);
    return buffer;
  },
  decode: (buffer: Buffer, offset = 0): number => buffer.readUInt32LE(offset),
} as const;

/** Copies exactly `size` bytes; another length is a programmer's error (RangeError). */
export const writeBytes = (buffer: Buffer, offset: number, bytes: Uint8Array, size: number): void => {
  if (bytes.length !== size) throw new RangeError(`${bytes.length} bytes where ${size} belong`);
  buffer.set(bytes, offset);
};

/** A copy: the buffer may be reused. */
export const readBytes = (buffer: Buffer, offset: number, size: number): Uint8Array => {
  if (offset + size > buffer.length) throw new RangeError(`${size} bytes at ${offset} of ${buffer.length}`);
  return new Uint8Array(buffer.subarray(offset, offset + size));
};

/** etcd revisions: 64 bits in the row, a safe integer here (RangeError otherwise). */
export const writeGeneration = (buffer: Buffer, offset: number, value: number): void => {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${value} is no generation`);
  buffer.writeUInt32LE(value % 0x1_0000_0000, offset);
  buffer.writeUInt32LE(Math.floor(value / 0x1_0000_0000), offset + 4);
};

export const readGeneration = (buffer: Buffer, offset: number): number => {
  const value = buffer.readUInt32LE(offset + 4) * 0x1_0000_0000 + buffer.readUInt32LE(offset);
  if (!Number.isSafeInteger(value)) throw new RangeError('a generation above 2^53');
  return value;
};
