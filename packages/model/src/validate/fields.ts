import { type Address, parseAddress } from '../address';
import { MegrezError } from '../error';
import { limits } from '../limits';
import { type Mac, parseMac } from '../mac';

/** A refused field; `object` is what the request is about. */
export const refuse = (object: string, reason: string, message: string): MegrezError =>
  new MegrezError({ code: 'INVALID_ARGUMENT', reason, object, message });

/** Runs a parser whose own errors name only the text, and names the request's object instead. */
export const about = <T>(object: string, parse: () => T): T => {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof MegrezError)) throw error;
    const { code, reason, message } = error;
    throw new MegrezError({ code, reason, message, object });
  }
};

export const addressField = (object: string, text: string): Address => about(object, () => parseAddress(text));

export const macField = (object: string, text: string): Mac => about(object, () => parseMac(text));

/** A count of hosts; 0 stands for the default. */
export const countField = (object: string, field: 'bouncers' | 'dividers', count: number): number => {
  if (count > limits[field]) {
    throw refuse(
      object,
      `TOO_MANY_${field.toUpperCase()}`,
      `at most ${limits[field]} ${field} are possible, not ${count}`,
    );
  }
  return count;
};

/** The size of a page: 1 to 1,000; 0 asks for 1,000. */
export const pageField = (object: string, page: { readonly pageSize: number; readonly pageToken: string }): number => {
  if (page.pageSize > limits.page_size) {
    throw refuse(object, 'INVALID_PAGE_SIZE', `a page holds at most ${limits.page_size} objects, not ${page.pageSize}`);
  }
  if (page.pageToken.length > limits.page_token_length) {
    throw refuse(object, 'INVALID_PAGE_TOKEN', 'the page token is not one that a list call has returned');
  }
  return page.pageSize || limits.page_size;
};

/** Milliseconds to wait; 0 asks for the default. */
export const timeoutField = (object: string, timeout_ms: number): number => {
  if (timeout_ms > limits.timeout_ms.max) {
    throw refuse(object, 'INVALID_TIMEOUT', `a call waits at most ${limits.timeout_ms.max} ms, not ${timeout_ms}`);
  }
  return timeout_ms || limits.timeout_ms.default;
};

/** Free text of the caller: printable ASCII, empty for none. */
export const requestIdField = (object: string, id: string): string => {
  if (id.length > limits.request_id_length || !/^[\x21-\x7e]*$/.test(id)) {
    throw refuse(
      object,
      'INVALID_REQUEST_ID',
      `a request id has at most ${limits.request_id_length} printable ASCII characters and no spaces`,
    );
  }
  return id;
};

export const weightField = (object: string, weight: number): number => {
  if (weight > limits.weight.max) {
    throw refuse(object, 'INVALID_WEIGHT', `a weight is at most ${limits.weight.max}, not ${weight}`);
  }
  return weight;
};

/** The kernel's rule: 1 to 15 bytes, no '/', ':', spaces, and neither '.' nor '..'; ASCII only, for people's sake. */
export const interfaceField = (object: string, name: string): string => {
  const legal = /^[\x21-\x7e]+$/.test(name) && !/[/:%]/.test(name) && name !== '.' && name !== '..';
  if (!legal || name.length > limits.interface_name_length) {
    throw refuse(
      object,
      'INVALID_INTERFACE_NAME',
      `'${name}' is not an interface name: use 1 to ${limits.interface_name_length} characters without '/', ':', '%' or spaces`,
    );
  }
  return name;
};

/** An absolute path in one spelling: no '..', no NUL. */
export const pathField = (object: string, path: string): string => {
  const legal = /^\/[^\0]+$/.test(path) && !path.split('/').some((part) => part === '..' || part === '.');
  if (!legal || path.length > limits.path_length) {
    throw refuse(object, 'INVALID_PATH', `'${path}' is not an absolute path of a namespace, e.g. /run/netns/blue`);
  }
  return path;
};
