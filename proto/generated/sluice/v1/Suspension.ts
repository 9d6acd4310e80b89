// Original file: proto/sluice/v1/pool.proto

import type { Long } from '@grpc/proto-loader';

/**
 * Why a lease is suspended, and what becomes of it.
 */
export interface Suspension {
  /**
   * Why, as a sentence.
   */
  'message'?: (string);
  /**
   * When its memory was given back; while that is under way, when it began.
   */
  'sinceAtMs'?: (number | string | Long);
  /**
   * Bytes saved on the server's host.
   */
  'savedBytes'?: (number | string | Long);
  /**
   * Whether it comes back as soon as there is room; else when it is told to.
   */
  'comesBack'?: (boolean);
  /**
   * Whether an admin wants it so: then no tenant lets it come back.
   */
  'byAdmin'?: (boolean);
  /**
   * Bytes of its slices that it holds all the same: what its modules have on devices whose driver alone decides where they lie.
   */
  'keptBytes'?: (number | string | Long);
}

/**
 * Why a lease is suspended, and what becomes of it.
 */
export interface Suspension__Output {
  /**
   * Why, as a sentence.
   */
  'message': (string);
  /**
   * When its memory was given back; while that is under way, when it began.
   */
  'sinceAtMs': (number);
  /**
   * Bytes saved on the server's host.
   */
  'savedBytes': (number);
  /**
   * Whether it comes back as soon as there is room; else when it is told to.
   */
  'comesBack': (boolean);
  /**
   * Whether an admin wants it so: then no tenant lets it come back.
   */
  'byAdmin': (boolean);
  /**
   * Bytes of its slices that it holds all the same: what its modules have on devices whose driver alone decides where they lie.
   */
  'keptBytes': (number);
}
