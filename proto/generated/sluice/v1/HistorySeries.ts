// Original file: proto/sluice/v1/pool.proto


/**
 * One quantity over time: the mean of each step, unless its kind says otherwise.
 */
export interface HistorySeries {
  /**
   * `pool.memory`, `pool.allocated`, `pool.used` and `pool.load` (bytes, and a part of 1); the same for each device as `device.*`;
   * `tenant.held` (bytes), `tenant.leases`, `tenant.waiting` for each tenant; `queue.length`; `wait.mean` and `wait.max`, from a
   * request to its grant, and `answer.p50` and `answer.p95`, from reading a batch to its answer in the server (milliseconds).
   */
  'kind'?: (string);
  /**
   * The device or tenant; empty for the pool, and in `tenant.held` for tenants too many to be kept one by one.
   */
  'subject'?: (string);
  /**
   * Not a number where there is no value.
   */
  'values'?: (number | string)[];
}

/**
 * One quantity over time: the mean of each step, unless its kind says otherwise.
 */
export interface HistorySeries__Output {
  /**
   * `pool.memory`, `pool.allocated`, `pool.used` and `pool.load` (bytes, and a part of 1); the same for each device as `device.*`;
   * `tenant.held` (bytes), `tenant.leases`, `tenant.waiting` for each tenant; `queue.length`; `wait.mean` and `wait.max`, from a
   * request to its grant, and `answer.p50` and `answer.p95`, from reading a batch to its answer in the server (milliseconds).
   */
  'kind': (string);
  /**
   * The device or tenant; empty for the pool, and in `tenant.held` for tenants too many to be kept one by one.
   */
  'subject': (string);
  /**
   * Not a number where there is no value.
   */
  'values': (number)[];
}
