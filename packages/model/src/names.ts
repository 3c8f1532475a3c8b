import { MegrezError } from './error';

export type Kind = 'vpc' | 'subnet' | 'endpoint' | 'service' | 'host' | 'zone';

const namePattern = /^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/;

/**
 * Names of everything: 1 to 63 lower-case letters, digits and dashes, from a letter to a letter or digit.
 * `object` is what the error is about; the name itself when absent.
 * @throws MegrezError INVALID_ARGUMENT / INVALID_NAME, or NAME_MISSING for an empty name
 */
export const validateName = (kind: Kind, name: string, object = `${kind} ${name}`): string => {
  if (name === '') {
    throw new MegrezError({
      code: 'INVALID_ARGUMENT',
      reason: 'NAME_MISSING',
      object: object.trim(),
      message: `the ${kind} needs a name`,
    });
  }
  if (!namePattern.test(name)) {
    throw new MegrezError({
      code: 'INVALID_ARGUMENT',
      reason: 'INVALID_NAME',
      object,
      message:
        `'${name}' is not a ${kind} name: use 1 to 63 lower-case letters, digits and dashes, ` +
        'starting with a letter and ending with a letter or digit',
    });
  }
  return name;
};

/** How errors, events and people call an object. */
export const objectName = {
  vpc: (vpc: string): string => `vpc ${vpc}`,
  subnet: (vpc: string, subnet: string): string => `subnet ${vpc}/${subnet}`,
  endpoint: (vpc: string, subnet: string, name: string): string => `endpoint ${vpc}/${subnet}/${name}`,
  service: (vpc: string, subnet: string, name: string): string => `service ${vpc}/${subnet}/${name}`,
  host: (host: string): string => `host ${host}`,
} as const;

const shapes = { vpc: 'VPC', subnet: 'VPC/SUBNET', endpoint: 'VPC/SUBNET/NAME', service: 'VPC/SUBNET/NAME' } as const;

const articles = { vpc: 'a', subnet: 'a', endpoint: 'an', service: 'a' } as const;

const parsePath = (kind: 'vpc' | 'subnet' | 'endpoint' | 'service', path: string): readonly string[] => {
  const parts = path.split('/');
  const kinds = (['vpc', 'subnet', kind] as const).slice(0, shapes[kind].split('/').length);
  if (parts.length !== kinds.length) {
    throw new MegrezError({
      code: 'INVALID_ARGUMENT',
      reason: 'INVALID_NAME',
      object: `${kind} ${path}`,
      message: `'${path}' does not name ${articles[kind]} ${kind}: write ${shapes[kind]}`,
    });
  }
  parts.forEach((part, i) => {
    validateName(kinds[i] as Kind, part, `${kind} ${path}`);
  });
  return parts;
};

/** `acme` */
export const parseVpcPath = (path: string): { readonly vpc: string } => {
  const [vpc = ''] = parsePath('vpc', path);
  return { vpc };
};

/** `acme/web` */
export const parseSubnetPath = (path: string): { readonly vpc: string; readonly subnet: string } => {
  const [vpc = '', subnet = ''] = parsePath('subnet', path);
  return { vpc, subnet };
};

/** `acme/web/a` */
export const parseEndpointPath = (
  path: string,
): { readonly vpc: string; readonly subnet: string; readonly name: string } => {
  const [vpc = '', subnet = '', name = ''] = parsePath('endpoint', path);
  return { vpc, subnet, name };
};

/** `acme/web/shop` */
export const parseServicePath = (
  path: string,
): { readonly vpc: string; readonly subnet: string; readonly name: string } => {
  const [vpc = '', subnet = '', name = ''] = parsePath('service', path);
  return { vpc, subnet, name };
};
