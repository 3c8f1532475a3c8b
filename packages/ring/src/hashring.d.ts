declare module 'hashring' {
  export default class HashRing {
    constructor(
      servers: Readonly<Record<string, { vnodes: number }>>,
      algorithm: string,
      options: { readonly 'vnode count': number },
    );
    range(key: string, size: number, unique: boolean): string[];
  }
}
