/** cuDNN of one slice: beside the functions of its table the graph API. */
import type { DnnAttribute } from "../../../shared/generated/calls.ts";
import type { DeviceDnn, DnnAnswer, DnnExecution, DnnQuestion } from "../dnn.ts";
import type { LibraryLookup, LibraryOutcome } from "../libraries.ts";
import type { CudaContext } from "./context.ts";
import { DnnGraph, planOf } from "./dnn-graph.ts";
import { Backend, DnnLibrary } from "./dnn-library.ts";
import type { CudaDescriptor } from "./library-descriptors.ts";
import { type LibraryOptions, type LibraryParts, SliceLibrary, startLibrary } from "./slice-library.ts";

export class CudaDnn extends SliceLibrary<DnnLibrary> implements DeviceDnn {
  readonly #graph: DnnGraph;

  private constructor(parts: LibraryParts<DnnLibrary>) {
    super(parts);
    const { native: library } = parts;
    this.#graph = new DnnGraph({ library, handle: library.handle, store: this.store });
  }

  /** @throws SluiceError UNSUPPORTED where the server has no cuDNN, OUT_OF_MEMORY where the lease has no room for it */
  static async open(context: CudaContext, options: LibraryOptions): Promise<CudaDnn> {
    const library = options.longWork(() => new DnnLibrary(options.driverVersion));
    return new CudaDnn(await startLibrary(library, context, options));
  }

  async describe(
    type: number,
    attributes: readonly DnnAttribute[],
    lookup: LibraryLookup,
  ): Promise<LibraryOutcome & { readonly descriptor?: CudaDescriptor }> {
    const describe = (): LibraryOutcome & { readonly descriptor?: CudaDescriptor } => {
      this.parts.context.enter();
      return this.told(this.#graph.describe(type, attributes, lookup));
    };
    const loads = type === Backend.EXECUTION_PLAN || type === Backend.ENGINEHEUR;
    return loads ? this.parts.loading.load(describe, { mayReserve: true }) : describe();
  }

  ask(question: DnnQuestion, lookup: LibraryLookup): DnnAnswer {
    const { context, options } = this.parts;
    context.enter();
    return options.longWork(() => this.told(this.#graph.ask(question, lookup)));
  }

  execute(execution: DnnExecution, lookup: LibraryLookup): LibraryOutcome | Promise<LibraryOutcome> {
    const { options, loading } = this.parts;
    const { stream, mayReserve } = execution;
    const pack = this.#graph.pack(execution, lookup);
    const run = (): LibraryOutcome => this.told(this.useStream(stream, undefined) ?? this.#graph.execute(pack));
    return options.inTurn(() => (planOf(pack.plan).hasRun ? run() : loading.load(run, { mayReserve })));
  }

  protected override destroy(descriptor: CudaDescriptor): void {
    if (typeof descriptor.what === "number") this.parts.native.api.cudnnBackendDestroyDescriptor(descriptor.handle);
    else super.destroy(descriptor);
  }
}
