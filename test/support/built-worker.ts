/**
 * In the place of server/device/cpu/run/worker-code.ts: workers of the cpu device in tests of the sources run what the package is built to, since they
 * start five times as fast so. test/support/build.ts has built it before.
 */
export const workerCode = new URL("../../dist/server/device/cpu/run/worker.js", import.meta.url);
