import { Option } from 'commander';

export interface WaitFlag {
  readonly wait?: boolean;
}

export const waitOption = (): Option => new Option('--wait', 'show the progress, and return when the job has ended');
