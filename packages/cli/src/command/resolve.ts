import type { ResolveResponse } from '@megrez/model';
import type { Command } from 'commander';
import { Exit, type Io } from '../io';
import { isData, printData } from '../output';
import { withSession } from '../session';
import { formatTable } from '../table';
import { answerView } from '../views';

interface Flags {
  readonly viaBouncer?: boolean;
}

export const resolve = (program: Command, io: Io): void => {
  program
    .command('resolve')
    .description('who has an address: what the intent says, or what the bouncers answer; exit code 1 for nobody')
    .argument('<vpc>')
    .argument('<ip>')
    .option('--via-bouncer', "ask the slot's owners what their kernels hold, too")
    .addHelpText('after', '\nExample:\n  megrez resolve acme 10.0.1.7 --via-bouncer')
    .action((path: string, ip: string, flags: Flags, command: Command) =>
      withSession(command, io, async ({ client, model, format }) => {
        const { vpc } = model.parseVpcPath(path);
        const viaBouncer = flags.viaBouncer ?? false;
        const { response } = await client.lookup.resolve({ vpc, ip, viaBouncer });
        if (isData(format)) {
          await printData(io, format, model.ResolveResponse.toJson(response, { emitDefaultValues: true }));
        } else io.stdout(formatAnswer(ip, response, viaBouncer));
        const found = viaBouncer ? response.answers.some((answer) => answer.found) : response.endpoint !== undefined;
        if (!found) throw new Exit(1);
      }),
    );
};

export const formatAnswer = (ip: string, response: ResolveResponse, viaBouncer: boolean): string => {
  const { endpoint, vpc, subnet, slot, epoch, owners } = response;
  const who =
    endpoint === undefined
      ? `no endpoint of vpc ${vpc} has ${ip}`
      : `${ip} is endpoint ${endpoint.vpc}/${endpoint.subnet}/${endpoint.name} on host ${endpoint.host}` +
        ` (${endpoint.hostAddress}), MAC ${endpoint.mac}`;
  const where =
    subnet === ''
      ? ''
      : `slot ${slot} of subnet ${vpc}/${subnet} (VNI ${response.vni}), epoch ${epoch}: ${owners.join(', ') || 'no owner'}\n`;
  const answers = viaBouncer ? `\n${formatTable(answerView.columns, response.answers)}` : '';
  return `${who}\n${where}${answers}`;
};
