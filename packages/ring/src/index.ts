export { type FleetTable, placeFleet } from './fleet';
export { slotCount, slotOf } from './hash';
export { type MaglevBackend, maglev, noBackend, serviceBuckets } from './maglev';
export { ownersOf, type SlotHost } from './owners';
export { type PlaceOptions, place } from './place';
export { type PlaceHost, preference } from './preference';
