/** The smallest whole program: borrows a share of a remote GPU, runs one kernel on it, checks the result. `SLUICE_SERVER` names the server. */
import { connect } from "../index.ts";
import { examplePtx } from "./package-files.ts";

const n = 100_000;
const pool = await connect();
{
  await using lease = await pool.allocate({ devices: 1, memory: "64MiB", wait: "30s" });
  const [gpu] = lease.devices;
  const saxpy = (await gpu.load(examplePtx("saxpy"))).kernel("saxpy");
  const x = gpu.upload(Float32Array.from({ length: n }, (_, i) => i));
  const y = gpu.upload(new Float32Array(n).fill(1));
  saxpy.launch({ grid: Math.ceil(n / 256), block: 256 }, [n, 2, x, y]); // no await: batched
  const result = await y.read(Float32Array); // the one round trip
  const wrong = result.findIndex((value, i) => value !== 2 * i + 1);
  if (wrong >= 0) throw new Error(`y[${wrong}] is [${result[wrong]}] instead of [${2 * wrong + 1}].`);
  console.log(`saxpy of ${n} elements on ${gpu.name}: y[${n - 1}] = ${result[n - 1]}`);
}
await pool.close();
