// Original file: proto/sluice/v1/admin.proto

import type { Event as _sluice_v1_Event, Event__Output as _sluice_v1_Event__Output } from '../../sluice/v1/Event.ts';

export interface ListEventsResponse {
  /**
   * The newest first.
   */
  'events'?: (_sluice_v1_Event)[];
}

export interface ListEventsResponse__Output {
  /**
   * The newest first.
   */
  'events': (_sluice_v1_Event__Output)[];
}
