export { bucketsOf } from './backends';
export { createService } from './create';
export { getService, listServices } from './find';
export { deleteService, leaveServices, removeServices } from './remove';
export { updateService } from './update';
export { replacement } from './write';
