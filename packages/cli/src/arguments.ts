import { InvalidArgumentError, Option } from 'commander';

const units = { ms: 1, s: 1_000, m: 60_000 } as const;

/** `10s`, `500ms`, `2m` -> milliseconds. */
export const duration = (text: string): number => {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m)$/.exec(text);
  const value = Math.round(Number(match?.[1]) * units[(match?.[2] ?? 'ms') as keyof typeof units]);
  if (match === null || value < 1 || value > 0xffff_ffff) {
    throw new InvalidArgumentError('Write a duration with its unit, e.g. 10s, 500ms or 2m.');
  }
  return value;
};

/** A whole number from `min` to `max`. */
export const whole =
  (min: number, max: number) =>
  (text: string): number => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < min || value > max) {
      throw new InvalidArgumentError(`Write a whole number from ${min} to ${max}.`);
    }
    return value;
  };

/** A count that travels as uint32; what is too many is the controller's to say. */
export const count = whole(1, 0xffff_ffff);

/** May be given several times, or once with commas. A default does not mix with what is given: it belongs to the action. */
export const several = (flags: string, description: string): Option =>
  new Option(flags, `${description} (repeatable)`).argParser((text: string, previous: string[] | undefined) => [
    ...(previous ?? []),
    ...text.split(',').filter((part) => part !== ''),
  ]);
