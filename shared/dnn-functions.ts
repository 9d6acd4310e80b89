/**
 * The functions of cuDNN that travel by `dnnCall` and `dnnAskCall`: all that is known of each is its line here, from which the server calls it and the
 * C client's function is generated. Numbers are places in the list, so it only grows at its end.
 *
 * A line is the function's arguments in order, as `KIND NAME`:
 * - "handle` cudnnHandle_t. It does not travel: the call names device and stream.
 * - `i32 u32 u64 f32 f64`, and `type`, a cudnnDataType_t (i32).
 * - `scalar` pointer to a factor in the host's memory: f64 where the call's data is f64, else f32; one that is absent is 0.
 * - `pointer NAME` an address on the device; `of OTHER`: with as many bytes as that argument says, or as the tensor that it describes has.
 * - `ints NAME of OTHER` an array of i32 in the host's memory, with as many elements as that argument, which stands before it, says.
 * - a kind of descriptor, such as `tensor`; with `set` before it the call decides what it describes, with `new` it comes into being.
 * - `out` before a kind: a result. Of `out ints NAME of OTHER` that argument says how many there is room for.
 * A `?` behind the kind of a pointer or descriptor lets it be absent.
 *
 * On the wire every argument but the handle takes 8 bytes, in order: numbers of 4 bytes with 4 zeros behind them, descriptors as their handles, 0 for what is
 * absent; an array takes its elements' bytes, padded with zeros to 8. Results take nothing there; in the answer they stand in the same manner, an array with as
 * many elements as there was room for.
 */

/** Kinds of descriptor by their words here, with what cuDNN calls them. */
export const dnnDescriptors = {
  tensor: "Tensor",
  filter: "Filter",
  convolution: "Convolution",
  activation: "Activation",
  pooling: "Pooling",
  dropout: "Dropout",
  rnn: "RNN",
  rnnData: "RNNData",
  spatialTransformer: "SpatialTransformer",
  ctcLoss: "CTCLoss",
} as const;
export type DnnDescriptorKind = keyof typeof dnnDescriptors;

const lines = {
  cudnnCreateTensorDescriptor: "new tensor tensorDesc",
  cudnnCreateFilterDescriptor: "new filter filterDesc",
  cudnnCreateConvolutionDescriptor: "new convolution convDesc",
  cudnnCreateActivationDescriptor: "new activation activationDesc",
  cudnnCreatePoolingDescriptor: "new pooling poolingDesc",
  cudnnCreateDropoutDescriptor: "new dropout dropoutDesc",
  cudnnCreateRNNDescriptor: "new rnn rnnDesc",
  cudnnCreateRNNDataDescriptor: "new rnnData rnnDataDesc",
  cudnnCreateSpatialTransformerDescriptor: "new spatialTransformer stDesc",
  cudnnCreateCTCLossDescriptor: "new ctcLoss ctcLossDesc",

  cudnnSetTensorNdDescriptor:
    "set tensor tensorDesc, type dataType, i32 nbDims, ints dimA of nbDims, ints strideA of nbDims",
  cudnnSetTensor4dDescriptor: "set tensor tensorDesc, i32 format, type dataType, i32 n, i32 c, i32 h, i32 w",
  cudnnGetTensorNdDescriptor:
    "tensor tensorDesc, i32 nbDimsRequested, out i32 dataType, out i32 nbDims, out ints dimA of nbDimsRequested, out ints strideA of nbDimsRequested",
  cudnnGetTensorSizeInBytes: "tensor tensorDesc, out u64 size",
  cudnnSetActivationDescriptor: "set activation activationDesc, i32 mode, i32 reluNanOpt, f64 coef",
  cudnnDeriveBNTensorDescriptor: "set tensor derivedBnDesc, tensor xDesc, i32 mode",

  cudnnGetBatchNormalizationForwardTrainingExWorkspaceSize:
    "handle, i32 mode, i32 bnOps, tensor xDesc, tensor? zDesc, tensor yDesc, tensor bnScaleBiasMeanVarDesc, activation? activationDesc, out u64 sizeInBytes",
  cudnnGetBatchNormalizationBackwardExWorkspaceSize:
    "handle, i32 mode, i32 bnOps, tensor xDesc, tensor? yDesc, tensor dyDesc, tensor? dzDesc, tensor dxDesc, tensor dBnScaleBiasDesc, activation? activationDesc, out u64 sizeInBytes",
  cudnnGetBatchNormalizationTrainingExReserveSpaceSize:
    "handle, i32 mode, i32 bnOps, activation? activationDesc, tensor xDesc, out u64 sizeInBytes",
  cudnnBatchNormalizationForwardInference:
    "handle, i32 mode, scalar alpha, scalar beta, tensor xDesc, pointer x of xDesc, tensor yDesc, pointer y of yDesc, tensor bnDesc, pointer bnScale of bnDesc, pointer bnBias of bnDesc, pointer estimatedMean of bnDesc, pointer estimatedVariance of bnDesc, f64 epsilon",
  cudnnBatchNormalizationForwardTrainingEx:
    "handle, i32 mode, i32 bnOps, scalar alpha, scalar beta, tensor xDesc, pointer xData of xDesc, tensor? zDesc, pointer? zData of zDesc, tensor yDesc, pointer yData of yDesc, tensor bnDesc, pointer bnScale of bnDesc, pointer bnBias of bnDesc, f64 exponentialAverageFactor, pointer? resultRunningMean of bnDesc, pointer? resultRunningVariance of bnDesc, f64 epsilon, pointer? resultSaveMean of bnDesc, pointer? resultSaveInvVariance of bnDesc, activation? activationDesc, pointer? workspace of workSpaceSizeInBytes, u64 workSpaceSizeInBytes, pointer? reserveSpace of reserveSpaceSizeInBytes, u64 reserveSpaceSizeInBytes",
  cudnnBatchNormalizationBackwardEx:
    "handle, i32 mode, i32 bnOps, scalar alphaDataDiff, scalar betaDataDiff, scalar alphaParamDiff, scalar betaParamDiff, tensor xDesc, pointer xData of xDesc, tensor? yDesc, pointer? yData of yDesc, tensor dyDesc, pointer dyData of dyDesc, tensor? dzDesc, pointer? dzData of dzDesc, tensor dxDesc, pointer dxData of dxDesc, tensor bnDesc, pointer bnScaleData of bnDesc, pointer? bnBiasData of bnDesc, pointer dBnScaleData of bnDesc, pointer dBnBiasData of bnDesc, f64 epsilon, pointer? savedMean of bnDesc, pointer? savedInvVariance of bnDesc, activation? activationDesc, pointer? workSpace of workSpaceSizeInBytes, u64 workSpaceSizeInBytes, pointer? reserveSpace of reserveSpaceSizeInBytes, u64 reserveSpaceSizeInBytes",

  cudnnDropoutGetStatesSize: "handle, out u64 sizeInBytes",
  cudnnSetDropoutDescriptor:
    "set dropout dropoutDesc, handle, f32 dropout, pointer? states of stateSizeInBytes, u64 stateSizeInBytes, u64 seed",
  cudnnRestoreDropoutDescriptor:
    "set dropout dropoutDesc, handle, f32 dropout, pointer? states of stateSizeInBytes, u64 stateSizeInBytes, u64 seed",

  cudnnSetRNNDescriptor_v8:
    "set rnn rnnDesc, i32 algo, i32 cellMode, i32 biasMode, i32 dirMode, i32 inputMode, type dataType, i32 mathPrec, i32 mathType, i32 inputSize, i32 hiddenSize, i32 projSize, i32 numLayers, dropout? dropoutDesc, u32 auxFlags",
  cudnnSetRNNDataDescriptor:
    "set rnnData rnnDataDesc, type dataType, i32 layout, i32 maxSeqLength, i32 batchSize, i32 vectorSize, ints seqLengthArray of batchSize, scalar? paddingFill",
  cudnnGetRNNTempSpaceSizes:
    "handle, rnn rnnDesc, i32 fwdMode, rnnData xDesc, out u64 workSpaceSize, out u64 reserveSpaceSize",
  cudnnGetRNNWeightSpaceSize: "handle, rnn rnnDesc, out u64 weightSpaceSize",
  cudnnGetRNNWeightParams:
    "handle, rnn rnnDesc, i32 pseudoLayer, u64 weightSpaceSize, pointer? weightSpace of weightSpaceSize, i32 linLayerID, set tensor mDesc, out pointer mAddr, set tensor bDesc, out pointer bAddr",
  cudnnRNNForward:
    "handle, rnn rnnDesc, i32 fwdMode, pointer? devSeqLengths, rnnData xDesc, pointer x, rnnData yDesc, pointer y, tensor? hDesc, pointer? hx of hDesc, pointer? hy of hDesc, tensor? cDesc, pointer? cx of cDesc, pointer? cy of cDesc, u64 weightSpaceSize, pointer weightSpace of weightSpaceSize, u64 workSpaceSize, pointer? workSpace of workSpaceSize, u64 reserveSpaceSize, pointer? reserveSpace of reserveSpaceSize",
  cudnnRNNBackwardData_v8:
    "handle, rnn rnnDesc, pointer? devSeqLengths, rnnData yDesc, pointer y, pointer dy, rnnData xDesc, pointer dx, tensor? hDesc, pointer? hx of hDesc, pointer? dhy of hDesc, pointer? dhx of hDesc, tensor? cDesc, pointer? cx of cDesc, pointer? dcy of cDesc, pointer? dcx of cDesc, u64 weightSpaceSize, pointer weightSpace of weightSpaceSize, u64 workSpaceSize, pointer? workSpace of workSpaceSize, u64 reserveSpaceSize, pointer? reserveSpace of reserveSpaceSize",
  cudnnRNNBackwardWeights_v8:
    "handle, rnn rnnDesc, i32 addGrad, pointer? devSeqLengths, rnnData xDesc, pointer x, tensor? hDesc, pointer? hx of hDesc, rnnData yDesc, pointer y, u64 weightSpaceSize, pointer dweightSpace of weightSpaceSize, u64 workSpaceSize, pointer? workSpace of workSpaceSize, u64 reserveSpaceSize, pointer? reserveSpace of reserveSpaceSize",
} as const;

const numbers = ["i32", "u32", "u64", "f32", "f64", "type"] as const;
const kinds = ["handle", ...numbers, "scalar", "pointer", "ints", "descriptor"] as const;
export type DnnArgumentKind = (typeof kinds)[number];

export interface DnnArgument {
  readonly kind: DnnArgumentKind;
  readonly name: string;
  /** Of a descriptor. */
  readonly descriptor: DnnDescriptorKind | undefined;
  /** Whether the call sets the descriptor, or makes it. */
  readonly role: "new" | "set" | "used";
  readonly isResult: boolean;
  readonly isOptional: boolean;
  /** Place of the argument that says how much there is; undefined where nothing does. */
  readonly of: number | undefined;
}

export interface DnnFunction {
  readonly name: string;
  readonly arguments: readonly DnnArgument[];
}

const isDescriptor = (word: string): word is DnnDescriptorKind => word in dnnDescriptors;
const isKind = (word: string): word is DnnArgumentKind => kinds.some((kind) => kind === word && kind !== "descriptor");

function argumentOf(text: string, names: readonly string[]): DnnArgument {
  const parts = /^(?:(out|new|set) )?(\w+)(\?)?(?: (\w+))?(?: of (\w+))?$/.exec(text);
  if (parts === null) throw new Error(`An argument of the table of functions is [${text}].`);
  const [, before, word = "", optional, name = word, other] = parts;
  const descriptor = isDescriptor(word) ? word : undefined;
  const kind = isKind(word) ? word : "descriptor";
  const of = other === undefined ? undefined : names.indexOf(other);
  if ((kind === "descriptor") !== (descriptor !== undefined) || of === -1 || (kind === "ints" && of === undefined)) {
    throw new Error(`An argument of the table of functions is [${text}].`);
  }
  const role = before === "new" || before === "set" ? before : "used";
  return { kind, name, descriptor, role, isResult: before === "out", isOptional: optional === "?", of };
}

/** Every function of the table, by its number. */
export const dnnFunctions: readonly DnnFunction[] = Object.entries<string>(lines).map(([name, line]) => {
  const texts = line.split(", ");
  const names = texts.map((text) => /(\w+)(?: of \w+)?$/.exec(text)![1]!);
  return { name, arguments: texts.map((text) => argumentOf(text, names)) };
});
