/** A measuring process as its case sees it: placed on cores of its own, so that the runner's work disturbs nothing. */
import { fileURLToPath } from "node:url";
import type { JobName, JobOptions, JobResult } from "./jobs.ts";
import { type Placement, startTool, type Tool } from "./tool.ts";

/** Built with the client, so that what is measured is what users run. */
const program = fileURLToPath(new URL("../../dist/modules/bench/measure/worker-main.js", import.meta.url));

export class Worker {
  readonly #tool: Tool;

  private constructor(tool: Tool) {
    this.#tool = tool;
  }

  static async start(
    options: { readonly cores?: Placement; readonly nodeFlags?: readonly string[] } = {},
  ): Promise<Worker> {
    const command = [process.execPath, ...(options.nodeFlags ?? []), program];
    return new Worker(await startTool(command, { cores: options.cores, lines: 1 }));
  }

  async run<Name extends JobName>(job: Name, options: JobOptions<Name>): Promise<JobResult<Name>> {
    const line = await this.#tool.ask(JSON.stringify({ job, options }));
    const outcome = JSON.parse(line) as { result: JobResult<Name> } | { error: string };
    if ("error" in outcome) throw new Error(`The job [${job}] fails: ${outcome.error}`);
    return outcome.result;
  }

  stop(): Promise<void> {
    return this.#tool.stop();
  }
}
