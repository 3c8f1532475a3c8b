import type * as Model from '@megrez/model';

/** What a list is about; empty texts stand for all. */
export interface Scope {
  readonly vpc: string;
  readonly subnet: string;
}

/** `acme`, `acme/web`, or nothing for all. */
export const scopeOf = (path: string | undefined, model: typeof Model): Scope => {
  if (path === undefined) return { vpc: '', subnet: '' };
  if (path.includes('/')) return model.parseSubnetPath(path);
  return { ...model.parseVpcPath(path), subnet: '' };
};
