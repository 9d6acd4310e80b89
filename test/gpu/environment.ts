/** Variables of the machine: which the check forgets, since they are a user's, and which it tells, since they are the driver's. */

/** Where a user borrows otherwise, and by what right: the check's clients go to its own servers, which ask for nothing. */
const users = /^SLUICE_(SERVER|BUNDLE|TOKEN|TOKEN_FILE|CA|CERT|KEY|LEASE|SESSION_WAIT)$/;

/** Those alone that change what CUDA does. Others with such names hold secrets. */
const drivers =
  /^(CUDA_(VISIBLE_DEVICES|DEVICE_ORDER|MPS_\w+|CACHE_\w+|MODULE_LOADING|LAUNCH_BLOCKING|HOME|PATH|FORCE_PTX_JIT|DISABLE_PTX_JIT|DEVICE_MAX_CONNECTIONS)|NVIDIA_(VISIBLE_DEVICES|DRIVER_CAPABILITIES|REQUIRE_CUDA|DISABLE_REQUIRE)|LD_LIBRARY_PATH|SLUICE_(CUDA|NVML|CUBLASLT|NVRTC|STANDIN)_\w+|SLUICE_AWAKE)$/;

/** Takes a user's own settings away. */
export function forgetUsers(env: NodeJS.ProcessEnv): void {
  for (const name of Object.keys(env)) if (users.test(name)) delete env[name];
}

/** What the driver is told by its environment, a line each. */
export const driversVariables = (env: NodeJS.ProcessEnv): string =>
  Object.entries(env)
    .filter(([name]) => drivers.test(name))
    .map(([name, value]) => `${name}=${value}`)
    .join("\n");
