// Original file: proto/sluice/v1/pool.proto

import type { Quota as _sluice_v1_Quota, Quota__Output as _sluice_v1_Quota__Output } from '../../sluice/v1/Quota.ts';
import type { Long } from '@grpc/proto-loader';

/**
 * What a tenant may have, and has.
 */
export interface Tenant {
  /**
   * Its name.
   */
  'name'?: (string);
  /**
   * Its weight in the fair share.
   */
  'weight'?: (number | string);
  /**
   * What it may have.
   */
  'quota'?: (_sluice_v1_Quota | null);
  /**
   * Bytes held now, overhead included.
   */
  'heldBytes'?: (number | string | Long);
  /**
   * Slices held now.
   */
  'devices'?: (number);
  /**
   * Leases held now.
   */
  'leases'?: (number);
  /**
   * Requests waiting now.
   */
  'waiting'?: (number);
}

/**
 * What a tenant may have, and has.
 */
export interface Tenant__Output {
  /**
   * Its name.
   */
  'name': (string);
  /**
   * Its weight in the fair share.
   */
  'weight': (number);
  /**
   * What it may have.
   */
  'quota': (_sluice_v1_Quota__Output | null);
  /**
   * Bytes held now, overhead included.
   */
  'heldBytes': (number);
  /**
   * Slices held now.
   */
  'devices': (number);
  /**
   * Leases held now.
   */
  'leases': (number);
  /**
   * Requests waiting now.
   */
  'waiting': (number);
}
