import type { Change } from '@megrez/model';
import type { PlanContext } from './context';
import { planEndpoint } from './endpoint';
import type { Row } from './row';
import { planService } from './service';
import { planSubnet } from './subnet';
import { planTable } from './table';
import { planVpc } from './vpc';

/** An object as the controller tells of it. */
export type Intent = Change['object'];

/** The rows of one object on this host: the only conversion of messages into rows. */
export const plan = (object: Intent, context: PlanContext): readonly Row[] => {
  switch (object.oneofKind) {
    case 'vpc':
      return planVpc(object.vpc);
    case 'subnet':
      return planSubnet(object.subnet);
    case 'table':
      return planTable(object.table, context.host);
    case 'endpoint':
      return planEndpoint(object.endpoint, context);
    case 'service':
      return planService(object.service, context);
    default:
      return [];
  }
};
