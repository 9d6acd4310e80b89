// Original file: proto/sluice/v1/admin.proto

import type { Long } from '@grpc/proto-loader';

/**
 * One entry of the audit log.
 */
export interface Event {
  /**
   * Counted upwards.
   */
  'id'?: (number | string | Long);
  /**
   * When.
   */
  'atMs'?: (number | string | Long);
  /**
   * Who; empty for the server itself, and for a caller without a good token.
   */
  'tenant'?: (string);
  /**
   * Id of the caller's token; empty where it had none.
   */
  'tokenId'?: (string);
  /**
   * From where, HOST:PORT.
   */
  'address'?: (string);
  /**
   * What, as the name of its call: `Cordon`.
   */
  'action'?: (string);
  /**
   * The request as JSON, without secrets.
   */
  'details'?: (string);
  /**
   * `OK`, the code of the error, empty while it is under way, or INTERRUPTED where the server died in it.
   */
  'outcome'?: (string);
  /**
   * The error's sentence.
   */
  'message'?: (string);
}

/**
 * One entry of the audit log.
 */
export interface Event__Output {
  /**
   * Counted upwards.
   */
  'id': (number);
  /**
   * When.
   */
  'atMs': (number);
  /**
   * Who; empty for the server itself, and for a caller without a good token.
   */
  'tenant': (string);
  /**
   * Id of the caller's token; empty where it had none.
   */
  'tokenId': (string);
  /**
   * From where, HOST:PORT.
   */
  'address': (string);
  /**
   * What, as the name of its call: `Cordon`.
   */
  'action': (string);
  /**
   * The request as JSON, without secrets.
   */
  'details': (string);
  /**
   * `OK`, the code of the error, empty while it is under way, or INTERRUPTED where the server died in it.
   */
  'outcome': (string);
  /**
   * The error's sentence.
   */
  'message': (string);
}
