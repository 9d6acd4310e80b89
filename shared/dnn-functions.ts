/** The functions of cuDNN that travel, in the language of library-functions.ts. */
import { readLibrary } from "./library-functions.ts";

/** Kinds of descriptor by their words here, with what cuDNN calls them. */
const kinds = {
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
  lrn: "LRN",
  opTensor: "OpTensor",
  reduceTensor: "ReduceTensor",
};
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
    "fill dropout dropoutDesc, handle, f32 dropout, pointer? states of stateSizeInBytes, u64 stateSizeInBytes, u64 seed",
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
    "handle, rnn rnnDesc, i32 pseudoLayer, u64 weightSpaceSize, pointer? weightSpace of weightSpaceSize, i32 linLayerID, set tensor? mDesc, out? pointer mAddr, set tensor? bDesc, out? pointer bAddr",
  cudnnRNNForward:
    "handle, rnn rnnDesc, i32 fwdMode, pointer? devSeqLengths of xDesc.sequences, rnnData xDesc, pointer x of xDesc, rnnData yDesc, pointer y of yDesc, tensor? hDesc, pointer? hx of hDesc, pointer? hy of hDesc, tensor? cDesc, pointer? cx of cDesc, pointer? cy of cDesc, u64 weightSpaceSize, pointer weightSpace of weightSpaceSize, u64 workSpaceSize, pointer? workSpace of workSpaceSize, u64 reserveSpaceSize, pointer? reserveSpace of reserveSpaceSize",
  cudnnRNNBackwardData_v8:
    "handle, rnn rnnDesc, pointer? devSeqLengths of xDesc.sequences, rnnData yDesc, pointer y of yDesc, pointer dy of yDesc, rnnData xDesc, pointer dx of xDesc, tensor? hDesc, pointer? hx of hDesc, pointer? dhy of hDesc, pointer? dhx of hDesc, tensor? cDesc, pointer? cx of cDesc, pointer? dcy of cDesc, pointer? dcx of cDesc, u64 weightSpaceSize, pointer weightSpace of weightSpaceSize, u64 workSpaceSize, pointer? workSpace of workSpaceSize, u64 reserveSpaceSize, pointer? reserveSpace of reserveSpaceSize",
  cudnnRNNBackwardWeights_v8:
    "handle, rnn rnnDesc, i32 addGrad, pointer? devSeqLengths of xDesc.sequences, rnnData xDesc, pointer x of xDesc, tensor? hDesc, pointer? hx of hDesc, rnnData yDesc, pointer y of yDesc, u64 weightSpaceSize, pointer dweightSpace of weightSpaceSize, u64 workSpaceSize, pointer? workSpace of workSpaceSize, u64 reserveSpaceSize, pointer? reserveSpace of reserveSpaceSize",

  cudnnCreateLRNDescriptor: "new lrn normDesc",
  cudnnCreateOpTensorDescriptor: "new opTensor opTensorDesc",
  cudnnCreateReduceTensorDescriptor: "new reduceTensor reduceTensorDesc",

  cudnnSetTensor4dDescriptorEx:
    "set tensor tensorDesc, type dataType, i32 n, i32 c, i32 h, i32 w, i32 nStride, i32 cStride, i32 hStride, i32 wStride",
  cudnnSetTensorNdDescriptorEx: "set tensor tensorDesc, i32 format, type dataType, i32 nbDims, ints dimA of nbDims",
  cudnnGetTensor4dDescriptor:
    "tensor tensorDesc, out i32 dataType, out i32 n, out i32 c, out i32 h, out i32 w, out i32 nStride, out i32 cStride, out i32 hStride, out i32 wStride",
  cudnnSetFilter4dDescriptor: "set filter filterDesc, type dataType, i32 format, i32 k, i32 c, i32 h, i32 w",
  cudnnGetFilter4dDescriptor:
    "filter filterDesc, out i32 dataType, out i32 format, out i32 k, out i32 c, out i32 h, out i32 w",
  cudnnSetFilterNdDescriptor: "set filter filterDesc, type dataType, i32 format, i32 nbDims, ints filterDimA of nbDims",
  cudnnGetFilterNdDescriptor:
    "filter filterDesc, i32 nbDimsRequested, out i32 dataType, out i32 format, out i32 nbDims, out ints filterDimA of nbDimsRequested",
  cudnnGetFilterSizeInBytes: "filter filterDesc, out u64 size",

  cudnnSetSpatialTransformerNdDescriptor:
    "set spatialTransformer stDesc, i32 samplerType, type dataType, i32 nbDims, ints dimA of nbDims",
  cudnnSpatialTfGridGeneratorForward:
    "handle, spatialTransformer stDesc, pointer theta of stDesc.theta, pointer grid of stDesc.grid",
  cudnnSpatialTfGridGeneratorBackward:
    "handle, spatialTransformer stDesc, pointer dgrid of stDesc.grid, pointer dtheta of stDesc.theta",
  cudnnSpatialTfSamplerForward:
    "handle, spatialTransformer stDesc, scalar alpha, tensor xDesc, pointer x of xDesc, pointer grid of stDesc.grid, scalar beta, tensor yDesc, pointer y of yDesc",
  cudnnSpatialTfSamplerBackward:
    "handle, spatialTransformer stDesc, scalar alpha, tensor xDesc, pointer x of xDesc, scalar beta, tensor dxDesc, pointer dx of dxDesc, scalar alphaDgrid, tensor dyDesc, pointer dy of dyDesc, pointer grid of stDesc.grid, scalar betaDgrid, pointer dgrid of stDesc.grid",

  cudnnSetCTCLossDescriptor: "set ctcLoss ctcLossDesc, type compType",
  cudnnSetCTCLossDescriptorEx: "set ctcLoss ctcLossDesc, type compType, i32 normMode, i32 gradMode",
  cudnnSetCTCLossDescriptor_v8:
    "set ctcLoss ctcLossDesc, type compType, i32 normMode, i32 gradMode, i32 maxLabelLength",
  cudnnSetCTCLossDescriptor_v9:
    "set ctcLoss ctcLossDesc, type compType, i32 normMode, i32 ctcGradMode, i32 maxLabelLength",
  cudnnGetCTCLossDescriptor: "ctcLoss ctcLossDesc, out i32 compType",
  cudnnGetCTCLossDescriptorEx: "ctcLoss ctcLossDesc, out i32 compType, out i32 normMode, out i32 gradMode",
  cudnnGetCTCLossDescriptor_v8:
    "ctcLoss ctcLossDesc, out i32 compType, out i32 normMode, out i32 gradMode, out i32 maxLabelLength",
  cudnnGetCTCLossDescriptor_v9:
    "ctcLoss ctcLossDesc, out i32 compType, out i32 normMode, out i32 ctcGradMode, out i32 maxLabelLength",
  cudnnGetCTCLossWorkspaceSize:
    "handle, tensor probsDesc, tensor? gradientsDesc, ints labels of labelLengths.sum, ints labelLengths of probsDesc.sequences, ints inputLengths of probsDesc.sequences, i32 algo, ctcLoss ctcLossDesc, out u64 sizeInBytes",
  cudnnGetCTCLossWorkspaceSize_v8:
    "handle, i32 algo, ctcLoss ctcLossDesc, tensor probsDesc, tensor? gradientsDesc, out u64 sizeInBytes",
  cudnnCTCLoss:
    "handle, tensor probsDesc, pointer probs of probsDesc, ints hostLabels of hostLabelLengths.sum, ints hostLabelLengths of probsDesc.sequences, ints hostInputLengths of probsDesc.sequences, pointer costs of probsDesc.sequences, tensor? gradientsDesc, pointer? gradients of gradientsDesc, i32 algo, ctcLoss ctcLossDesc, pointer? workSpace of workSpaceSizeInBytes, u64 workSpaceSizeInBytes",
  cudnnCTCLoss_v8:
    "handle, i32 algo, ctcLoss ctcLossDesc, tensor probsDesc, pointer probs of probsDesc, pointer? labels, pointer labelLengths of probsDesc.sequences, pointer inputLengths of probsDesc.sequences, pointer costs of probsDesc.sequences, tensor? gradientsDesc, pointer? gradients of gradientsDesc, u64 workSpaceSizeInBytes, pointer? workspace of workSpaceSizeInBytes",

  cudnnSetPooling2dDescriptor:
    "set pooling poolingDesc, i32 mode, i32 maxpoolingNanOpt, i32 windowHeight, i32 windowWidth, i32 verticalPadding, i32 horizontalPadding, i32 verticalStride, i32 horizontalStride",
  cudnnGetPooling2dDescriptor:
    "pooling poolingDesc, out i32 mode, out i32 maxpoolingNanOpt, out i32 windowHeight, out i32 windowWidth, out i32 verticalPadding, out i32 horizontalPadding, out i32 verticalStride, out i32 horizontalStride",
  cudnnSetPoolingNdDescriptor:
    "set pooling poolingDesc, i32 mode, i32 maxpoolingNanOpt, i32 nbDims, ints windowDimA of nbDims, ints paddingA of nbDims, ints strideA of nbDims",
  cudnnGetPoolingNdDescriptor:
    "pooling poolingDesc, i32 nbDimsRequested, out i32 mode, out i32 maxpoolingNanOpt, out i32 nbDims, out ints windowDimA of nbDimsRequested, out ints paddingA of nbDimsRequested, out ints strideA of nbDimsRequested",
  cudnnGetPoolingNdForwardOutputDim:
    "pooling poolingDesc, tensor inputTensorDesc, i32 nbDims, out ints outputTensorDimA of nbDims",
  cudnnGetPooling2dForwardOutputDim:
    "pooling poolingDesc, tensor inputTensorDesc, out i32 n, out i32 c, out i32 h, out i32 w",
  cudnnPoolingForward:
    "handle, pooling poolingDesc, scalar alpha, tensor xDesc, pointer x of xDesc, scalar beta, tensor yDesc, pointer y of yDesc",
  cudnnPoolingBackward:
    "handle, pooling poolingDesc, scalar alpha, tensor yDesc, pointer y of yDesc, tensor dyDesc, pointer dy of dyDesc, tensor xDesc, pointer x of xDesc, scalar beta, tensor dxDesc, pointer dx of dxDesc",

  cudnnSetConvolution2dDescriptor:
    "set convolution convDesc, i32 pad_h, i32 pad_w, i32 u, i32 v, i32 dilation_h, i32 dilation_w, i32 mode, i32 computeType",
  cudnnGetConvolution2dDescriptor:
    "convolution convDesc, out i32 pad_h, out i32 pad_w, out i32 u, out i32 v, out i32 dilation_h, out i32 dilation_w, out i32 mode, out i32 computeType",
  cudnnSetConvolutionNdDescriptor:
    "set convolution convDesc, i32 arrayLength, ints padA of arrayLength, ints filterStrideA of arrayLength, ints dilationA of arrayLength, i32 mode, i32 computeType",
  cudnnGetConvolutionNdDescriptor:
    "convolution convDesc, i32 arrayLengthRequested, out i32 arrayLength, out ints padA of arrayLengthRequested, out ints strideA of arrayLengthRequested, out ints dilationA of arrayLengthRequested, out i32 mode, out i32 computeType",
  cudnnSetConvolutionMathType: "set convolution convDesc, i32 mathType",
  cudnnGetConvolutionMathType: "convolution convDesc, out i32 mathType",
  cudnnSetConvolutionGroupCount: "set convolution convDesc, i32 groupCount",
  cudnnGetConvolutionGroupCount: "convolution convDesc, out i32 groupCount",
  cudnnSetConvolutionReorderType: "set convolution convDesc, i32 reorderType",
  cudnnGetConvolutionReorderType: "convolution convDesc, out i32 reorderType",
  cudnnGetConvolution2dForwardOutputDim:
    "convolution convDesc, tensor inputTensorDesc, filter filterDesc, out i32 n, out i32 c, out i32 h, out i32 w",
  cudnnGetConvolutionNdForwardOutputDim:
    "convolution convDesc, tensor inputTensorDesc, filter filterDesc, i32 nbDims, out ints tensorOuputDimA of nbDims",
  cudnnGetConvolutionForwardAlgorithmMaxCount: "handle, out i32 count",
  cudnnGetConvolutionForwardAlgorithm_v7:
    "handle, tensor xDesc, filter wDesc, convolution convDesc, tensor yDesc, i32 requestedAlgoCount, out i32 returnedAlgoCount, out perfs perfResults of requestedAlgoCount",
  cudnnFindConvolutionForwardAlgorithmEx:
    "handle, tensor xDesc, pointer x of xDesc, filter wDesc, pointer w of wDesc, convolution convDesc, tensor yDesc, pointer y of yDesc, i32 requestedAlgoCount, out i32 returnedAlgoCount, out perfs perfResults of requestedAlgoCount, pointer? workSpace of workSpaceSizeInBytes, u64 workSpaceSizeInBytes",
  cudnnGetConvolutionForwardWorkspaceSize:
    "handle, tensor xDesc, filter wDesc, convolution convDesc, tensor yDesc, i32 algo, out u64 sizeInBytes",
  cudnnConvolutionForward:
    "handle, scalar alpha, tensor xDesc, pointer x of xDesc, filter wDesc, pointer w of wDesc, convolution convDesc, i32 algo, pointer? workSpace of workSpaceSizeInBytes, u64 workSpaceSizeInBytes, scalar beta, tensor yDesc, pointer y of yDesc",
  cudnnGetConvolutionBackwardDataAlgorithmMaxCount: "handle, out i32 count",
  cudnnGetConvolutionBackwardDataAlgorithm_v7:
    "handle, filter wDesc, tensor dyDesc, convolution convDesc, tensor dxDesc, i32 requestedAlgoCount, out i32 returnedAlgoCount, out perfs perfResults of requestedAlgoCount",
  cudnnFindConvolutionBackwardDataAlgorithmEx:
    "handle, filter wDesc, pointer w of wDesc, tensor dyDesc, pointer dy of dyDesc, convolution convDesc, tensor dxDesc, pointer dx of dxDesc, i32 requestedAlgoCount, out i32 returnedAlgoCount, out perfs perfResults of requestedAlgoCount, pointer? workSpace of workSpaceSizeInBytes, u64 workSpaceSizeInBytes",
  cudnnGetConvolutionBackwardDataWorkspaceSize:
    "handle, filter wDesc, tensor dyDesc, convolution convDesc, tensor dxDesc, i32 algo, out u64 sizeInBytes",
  cudnnConvolutionBackwardData:
    "handle, scalar alpha, filter wDesc, pointer w of wDesc, tensor dyDesc, pointer dy of dyDesc, convolution convDesc, i32 algo, pointer? workSpace of workSpaceSizeInBytes, u64 workSpaceSizeInBytes, scalar beta, tensor dxDesc, pointer dx of dxDesc",
  cudnnGetConvolutionBackwardFilterAlgorithmMaxCount: "handle, out i32 count",
  cudnnGetConvolutionBackwardFilterAlgorithm_v7:
    "handle, tensor xDesc, tensor dyDesc, convolution convDesc, filter dwDesc, i32 requestedAlgoCount, out i32 returnedAlgoCount, out perfs perfResults of requestedAlgoCount",
  cudnnFindConvolutionBackwardFilterAlgorithmEx:
    "handle, tensor xDesc, pointer x of xDesc, tensor dyDesc, pointer dy of dyDesc, convolution convDesc, filter dwDesc, pointer dw of dwDesc, i32 requestedAlgoCount, out i32 returnedAlgoCount, out perfs perfResults of requestedAlgoCount, pointer? workSpace of workSpaceSizeInBytes, u64 workSpaceSizeInBytes",
  cudnnGetConvolutionBackwardFilterWorkspaceSize:
    "handle, tensor xDesc, tensor dyDesc, convolution convDesc, filter dwDesc, i32 algo, out u64 sizeInBytes",
  cudnnConvolutionBackwardFilter:
    "handle, scalar alpha, tensor xDesc, pointer x of xDesc, tensor dyDesc, pointer dy of dyDesc, convolution convDesc, i32 algo, pointer? workSpace of workSpaceSizeInBytes, u64 workSpaceSizeInBytes, scalar beta, filter dwDesc, pointer dw of dwDesc",
  cudnnConvolutionBiasActivationForward:
    "handle, scalar alpha1, tensor xDesc, pointer x of xDesc, filter wDesc, pointer w of wDesc, convolution convDesc, i32 algo, pointer? workSpace of workSpaceSizeInBytes, u64 workSpaceSizeInBytes, scalar alpha2, tensor zDesc, pointer z of zDesc, tensor biasDesc, pointer bias of biasDesc, activation activationDesc, tensor yDesc, pointer y of yDesc",
  cudnnConvolutionBackwardBias:
    "handle, scalar alpha, tensor dyDesc, pointer dy of dyDesc, scalar beta, tensor dbDesc, pointer db of dbDesc",

  cudnnGetActivationDescriptor: "activation activationDesc, out i32 mode, out i32 reluNanOpt, out f64 coef",
  cudnnSetActivationDescriptorSwishBeta: "set activation activationDesc, f64 swish_beta",
  cudnnGetActivationDescriptorSwishBeta: "activation activationDesc, out f64 swish_beta",
  cudnnActivationForward:
    "handle, activation activationDesc, scalar alpha, tensor xDesc, pointer x of xDesc, scalar beta, tensor yDesc, pointer y of yDesc",
  cudnnActivationBackward:
    "handle, activation activationDesc, scalar alpha, tensor yDesc, pointer y of yDesc, tensor dyDesc, pointer dy of dyDesc, tensor xDesc, pointer x of xDesc, scalar beta, tensor dxDesc, pointer dx of dxDesc",
  cudnnSoftmaxForward:
    "handle, i32 algo, i32 mode, scalar alpha, tensor xDesc, pointer x of xDesc, scalar beta, tensor yDesc, pointer y of yDesc",
  cudnnSoftmaxBackward:
    "handle, i32 algo, i32 mode, scalar alpha, tensor yDesc, pointer y of yDesc, tensor dyDesc, pointer dy of dyDesc, scalar beta, tensor dxDesc, pointer dx of dxDesc",
  cudnnSetLRNDescriptor: "set lrn normDesc, u32 lrnN, f64 lrnAlpha, f64 lrnBeta, f64 lrnK",
  cudnnGetLRNDescriptor: "lrn normDesc, out u32 lrnN, out f64 lrnAlpha, out f64 lrnBeta, out f64 lrnK",
  cudnnLRNCrossChannelForward:
    "handle, lrn normDesc, i32 lrnMode, scalar alpha, tensor xDesc, pointer x of xDesc, scalar beta, tensor yDesc, pointer y of yDesc",
  cudnnLRNCrossChannelBackward:
    "handle, lrn normDesc, i32 lrnMode, scalar alpha, tensor yDesc, pointer y of yDesc, tensor dyDesc, pointer dy of dyDesc, tensor xDesc, pointer x of xDesc, scalar beta, tensor dxDesc, pointer dx of dxDesc",

  cudnnTransformTensor:
    "handle, scalar alpha, tensor xDesc, pointer x of xDesc, scalar beta, tensor yDesc, pointer y of yDesc",
  cudnnAddTensor:
    "handle, scalar alpha, tensor aDesc, pointer A of aDesc, scalar beta, tensor cDesc, pointer C of cDesc",
  cudnnSetTensor: "handle, tensor yDesc, pointer y of yDesc, value valuePtr of yDesc",
  cudnnScaleTensor: "handle, tensor yDesc, pointer y of yDesc, scalar alpha",
  cudnnSetOpTensorDescriptor: "set opTensor opTensorDesc, i32 opTensorOp, i32 opTensorCompType, i32 opTensorNanOpt",
  cudnnGetOpTensorDescriptor:
    "opTensor opTensorDesc, out i32 opTensorOp, out i32 opTensorCompType, out i32 opTensorNanOpt",
  cudnnOpTensor:
    "handle, opTensor opTensorDesc, scalar alpha1, tensor aDesc, pointer A of aDesc, scalar alpha2, tensor bDesc, pointer B of bDesc, scalar beta, tensor cDesc, pointer C of cDesc",
  cudnnSetReduceTensorDescriptor:
    "set reduceTensor reduceTensorDesc, i32 reduceTensorOp, i32 reduceTensorCompType, i32 reduceTensorNanOpt, i32 reduceTensorIndices, i32 reduceTensorIndicesType",
  cudnnGetReduceTensorDescriptor:
    "reduceTensor reduceTensorDesc, out i32 reduceTensorOp, out i32 reduceTensorCompType, out i32 reduceTensorNanOpt, out i32 reduceTensorIndices, out i32 reduceTensorIndicesType",
  cudnnGetReductionIndicesSize:
    "handle, reduceTensor reduceTensorDesc, tensor aDesc, tensor cDesc, out u64 sizeInBytes",
  cudnnGetReductionWorkspaceSize:
    "handle, reduceTensor reduceTensorDesc, tensor aDesc, tensor cDesc, out u64 sizeInBytes",
  cudnnReduceTensor:
    "handle, reduceTensor reduceTensorDesc, pointer? indices of indicesSizeInBytes, u64 indicesSizeInBytes, pointer? workspace of workspaceSizeInBytes, u64 workspaceSizeInBytes, scalar alpha, tensor aDesc, pointer A of aDesc, scalar beta, tensor cDesc, pointer C of cDesc",

  cudnnBatchNormalizationForwardTraining:
    "handle, i32 mode, scalar alpha, scalar beta, tensor xDesc, pointer x of xDesc, tensor yDesc, pointer y of yDesc, tensor bnDesc, pointer bnScale of bnDesc, pointer bnBias of bnDesc, f64 exponentialAverageFactor, pointer? resultRunningMean of bnDesc, pointer? resultRunningVariance of bnDesc, f64 epsilon, pointer? resultSaveMean of bnDesc, pointer? resultSaveInvVariance of bnDesc",
  cudnnBatchNormalizationBackward:
    "handle, i32 mode, scalar alphaDataDiff, scalar betaDataDiff, scalar alphaParamDiff, scalar betaParamDiff, tensor xDesc, pointer x of xDesc, tensor dyDesc, pointer dy of dyDesc, tensor dxDesc, pointer dx of dxDesc, tensor bnDesc, pointer bnScale of bnDesc, pointer dBnScaleResult of bnDesc, pointer dBnBiasResult of bnDesc, f64 epsilon, pointer? savedMean of bnDesc, pointer? savedInvVariance of bnDesc",

  cudnnDropoutGetReserveSpaceSize: "tensor xdesc, out u64 sizeInBytes",
  cudnnGetDropoutDescriptor: "dropout dropoutDesc, handle, out f32 dropout, out pointer states, out u64 seed",
  cudnnDropoutForward:
    "handle, dropout dropoutDesc, tensor xdesc, pointer x of xdesc, tensor ydesc, pointer y of ydesc, pointer reserveSpace of reserveSpaceSizeInBytes, u64 reserveSpaceSizeInBytes",
  cudnnDropoutBackward:
    "handle, dropout dropoutDesc, tensor dydesc, pointer dy of dydesc, tensor dxdesc, pointer dx of dxdesc, pointer reserveSpace of reserveSpaceSizeInBytes, u64 reserveSpaceSizeInBytes",
};

export const dnn = readLibrary({
  name: "cuDNN",
  word: "dnn",
  descriptors: Object.fromEntries(
    Object.entries(kinds).map(([word, name]) => [
      word,
      { make: `cudnnCreate${name}Descriptor`, destroy: `cudnnDestroy${name}Descriptor` },
    ]),
  ),
  measures: ["theta", "grid", "sequences", "sum"],
  lines,
});
