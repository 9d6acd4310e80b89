/**
 * The functions of cuSPARSE that travel (library-functions.ts): those that PyTorch's torch.sparse takes, and their like. A sparse matrix, a dense one and a vector
 * are descriptors that hold addresses of the device, which are looked at by every function that takes them; what functions for triangular systems and products of two
 * sparse matrices work out beforehand is a descriptor's own, and the work area that they were given for it. How many elements stand in a matrix that is computed is
 * told by the device alone, so of a sum of two (csrgeam2) values and columns are only known to be memory of the device.
 */
import { readLibrary } from "./library-functions.ts";

const product = (a: string, b: string, c: string): string =>
  `handle, i32 opA, i32 opB, factor alpha of computeType, ${a} matA, ${b} matB, factor beta of computeType, ${c} matC, dataType computeType, i32 alg`;
const spMM = product("spMat", "dnMat", "dnMat");
const spMV =
  "handle, i32 opA, factor alpha of computeType, spMat matA, dnVec vecX, factor beta of computeType, dnVec vecY, dataType computeType, i32 alg";
const spSV =
  "handle, i32 opA, factor alpha of computeType, spMat matA, dnVec vecX, dnVec vecY, dataType computeType, i32 alg, keep spSV spsvDescr";
const spSM =
  "handle, i32 opA, i32 opB, factor alpha of computeType, spMat matA, dnMat matB, dnMat matC, dataType computeType, i32 alg, keep spSM spsmDescr";
const spGEMM = `${product("spMat", "spMat", "change spMat")}, keep spGEMM spgemmDescr`;
const sddMM = product("dnMat", "dnMat", "spMat");
const buffer = "pointer? externalBuffer of bufferSize";

/** A matrix of blocks, as the older functions take it. */
const blocks = (block: string): string =>
  `matDescr descrA, pointer bsrSortedValA of nnzb*${block}*${block} T, pointer bsrSortedRowPtrA of mb+1 i32, pointer bsrSortedColIndA of nnzb i32, i32 ${block}`;
const unreadBlocks = (block: string): string =>
  `matDescr descrA, unread bsrSortedValA, unread bsrSortedRowPtrA, unread bsrSortedColIndA, i32 ${block}`;
const bsrsv2 = "handle, i32 dirA, i32 transA, i32 mb, i32 nnzb";
const bsrsm2 = "handle, i32 dirA, i32 transA, i32 transXY, i32 mb, i32 n, i32 nnzb";
/** Dense matrices of a triangular system: as many rows as the sparse one, unless they are transposed. */
const right = (name: string, leading: string): string =>
  `pointer ${name} of (transXY==0)*matrix(mb*blockSize,n,${leading})+(1-(transXY==0))*matrix(n,mb*blockSize,${leading}) T, i32 ${leading}`;
const summand = (name: string): string =>
  `matDescr descr${name}, i32 nnz${name}, pointer csrSortedVal${name} of nnz${name} T, pointer csrSortedRowPtr${name} of m+1 i32, pointer csrSortedColInd${name} of nnz${name} i32`;
const pattern = (name: string): string =>
  `matDescr descr${name}, i32 nnz${name}, pointer csrSortedRowPtr${name} of m+1 i32, pointer csrSortedColInd${name} of nnz${name} i32`;
const unreadSummand = (name: string): string =>
  `matDescr descr${name}, i32 nnz${name}, unread csrSortedVal${name}, unread csrSortedRowPtr${name}, unread csrSortedColInd${name}`;

const lines = {
  cusparseCreateMatDescr: "new matDescr descrA",
  cusparseSetMatType: "set matDescr descrA, i32 type",
  cusparseSetMatFillMode: "set matDescr descrA, i32 fillMode",
  cusparseSetMatDiagType: "set matDescr descrA, i32 diagType",
  cusparseSetMatIndexBase: "set matDescr descrA, i32 base",

  cusparseCreateCsr:
    "new spMat spMatDescr, i64 rows, i64 cols, i64 nnz, held csrRowOffsets, held csrColInd, held csrValues, indexType csrRowOffsetsType, indexType csrColIndType, i32 idxBase, dataType valueType",
  cusparseCreateCoo:
    "new spMat spMatDescr, i64 rows, i64 cols, i64 nnz, held cooRowInd, held cooColInd, held cooValues, indexType cooIdxType, i32 idxBase, dataType valueType",
  cusparseCsrSetPointers: "set spMat spMatDescr, held csrRowOffsets, held csrColInd, held csrValues",
  cusparseCooSetPointers: "set spMat spMatDescr, held cooRowInd, held cooColInd, held cooValues",
  cusparseCsrSetStridedBatch:
    "set spMat spMatDescr, i32 batchCount, i64 offsetsBatchStride, i64 columnsValuesBatchStride",
  cusparseCooSetStridedBatch: "set spMat spMatDescr, i32 batchCount, i64 batchStride",
  cusparseSpMatSetAttribute: "set spMat spMatDescr, which attribute, factor data of i32, exact dataSize of 4",
  cusparseSpMatGetSize: "spMat spMatDescr, out i64 rows, out i64 cols, out i64 nnz",
  cusparseCreateDnVec: "new dnVec dnVecDescr, i64 size, held values, dataType valueType",
  cusparseDnVecSetValues: "set dnVec dnVecDescr, held values",
  cusparseCreateDnMat: "new dnMat dnMatDescr, i64 rows, i64 cols, i64 ld, held values, dataType valueType, i32 order",
  cusparseDnMatSetValues: "set dnMat dnMatDescr, held values",
  cusparseDnMatSetStridedBatch: "set dnMat dnMatDescr, i32 batchCount, i64 batchStride",

  cusparseSpMV_bufferSize: `${spMV}, out u64 bufferSize`,
  cusparseSpMV: `${spMV}, ${buffer}`,
  cusparseSpMM_bufferSize: `${spMM}, out u64 bufferSize`,
  cusparseSpMM: `${spMM}, ${buffer}`,
  cusparseSDDMM_bufferSize: `${sddMM}, out u64 bufferSize`,
  cusparseSDDMM_preprocess: `${sddMM.replace("spMat matC", "keep spMat matC")}, ${buffer}`,
  cusparseSDDMM: `${sddMM}, ${buffer}`,
  cusparseSpSV_createDescr: "new spSV descr",
  cusparseSpSV_bufferSize: `${spSV}, out u64 bufferSize`,
  cusparseSpSV_analysis: `${spSV}, ${buffer}`,
  cusparseSpSV_solve: spSV,
  cusparseSpSM_createDescr: "new spSM descr",
  cusparseSpSM_bufferSize: `${spSM}, out u64 bufferSize`,
  cusparseSpSM_analysis: `${spSM}, ${buffer}`,
  cusparseSpSM_solve: spSM,
  cusparseSpGEMM_createDescr: "new spGEMM descr",
  cusparseSpGEMM_workEstimation: `${spGEMM}, inout u64 bufferSize1, pointer? externalBuffer1 of bufferSize1`,
  cusparseSpGEMM_compute: `${spGEMM}, inout u64 bufferSize2, pointer? externalBuffer2 of bufferSize2`,
  cusparseSpGEMM_copy: spGEMM,

  cusparseXcoo2csr:
    "handle, pointer cooRowInd of nnz i32, i32 nnz, i32 m, pointer csrSortedRowPtr of m+1 i32, i32 idxBase",
  cusparseCreateIdentityPermutation: "handle, i32 n, pointer p of n i32",
  cusparseXcoosort_bufferSizeExt:
    "handle, i32 m, i32 n, i32 nnz, unread cooRowsA, unread cooColsA, out u64 pBufferSizeInBytes",
  "cusparseXcoosortBy{Row,Column}":
    "handle, i32 m, i32 n, i32 nnz, pointer cooRowsA of nnz i32, pointer cooColsA of nnz i32, pointer? P of nnz i32, pointer? pBuffer of bufferSize",
  cusparseXcsrsort_bufferSizeExt:
    "handle, i32 m, i32 n, i32 nnz, unread csrRowPtrA, unread csrColIndA, out u64 pBufferSizeInBytes",
  cusparseXcsrsort:
    "handle, i32 m, i32 n, i32 nnz, matDescr descrA, pointer csrRowPtrA of m+1 i32, pointer csrColIndA of nnz i32, pointer? P of nnz i32, pointer? pBuffer of bufferSize",
  "cusparse{S,D,C,Z}csrgeam2_bufferSizeExt": `handle, i32 m, i32 n, factor alpha of T, ${unreadSummand("A")}, factor beta of T, ${unreadSummand("B")}, matDescr descrC, unread csrSortedValC, unread csrSortedRowPtrC, unread csrSortedColIndC, out u64 pBufferSizeInBytes`,
  cusparseXcsrgeam2Nnz: `handle, i32 m, i32 n, ${pattern("A")}, ${pattern("B")}, matDescr descrC, pointer csrSortedRowPtrC of m+1 i32, out i32 nnzTotalDevHostPtr, pointer? workspace of bufferSize`,
  "cusparse{S,D,C,Z}csrgeam2": `handle, i32 m, i32 n, factor alpha of T, ${summand("A")}, factor beta of T, ${summand("B")}, matDescr descrC, pointer? csrSortedValC of min(1,nnzA+nnzB) T, pointer csrSortedRowPtrC of m+1 i32, pointer? csrSortedColIndC of min(1,nnzA+nnzB) i32, pointer? pBuffer of bufferSize`,

  "cusparse{S,D,C,Z}bsrmv": `handle, i32 dirA, i32 transA, i32 mb, i32 nb, i32 nnzb, factor alpha of T, ${blocks("blockDim")}, pointer x of ((transA==0)*nb+(1-(transA==0))*mb)*blockDim T, factor beta of T, pointer y of ((transA==0)*mb+(1-(transA==0))*nb)*blockDim T`,
  "cusparse{S,D,C,Z}bsrmm": `handle, i32 dirA, i32 transA, i32 transB, i32 mb, i32 n, i32 kb, i32 nnzb, factor alpha of T, ${blocks("blockSize")}, pointer B of (transB==0)*matrix(((transA==0)*kb+(1-(transA==0))*mb)*blockSize,n,ldb)+(1-(transB==0))*matrix(n,((transA==0)*kb+(1-(transA==0))*mb)*blockSize,ldb) T, i32 ldb, factor beta of T, pointer C of matrix(((transA==0)*mb+(1-(transA==0))*kb)*blockSize,n,ldc) T, i32 ldc`,
  cusparseCreateBsrsv2Info: "new bsrsv2Info info",
  cusparseXbsrsv2_zeroPivot: "handle, change bsrsv2Info info, out i32 position",
  "cusparse{S,D,C,Z}bsrsv2_bufferSize": `${bsrsv2}, ${unreadBlocks("blockDim")}, keep bsrsv2Info info, out i32 pBufferSizeInBytes`,
  "cusparse{S,D,C,Z}bsrsv2_analysis": `${bsrsv2}, ${blocks("blockDim")}, keep bsrsv2Info info, i32 policy, pointer? pBuffer of bufferSize`,
  "cusparse{S,D,C,Z}bsrsv2_solve": `${bsrsv2}, factor alpha of T, ${blocks("blockDim")}, change bsrsv2Info info, pointer f of mb*blockDim T, pointer x of mb*blockDim T, i32 policy, pointer? pBuffer of info.area`,
  cusparseCreateBsrsm2Info: "new bsrsm2Info info",
  cusparseXbsrsm2_zeroPivot: "handle, change bsrsm2Info info, out i32 position",
  "cusparse{S,D,C,Z}bsrsm2_bufferSize": `${bsrsm2}, ${unreadBlocks("blockSize")}, keep bsrsm2Info info, out i32 pBufferSizeInBytes`,
  "cusparse{S,D,C,Z}bsrsm2_analysis": `${bsrsm2}, ${blocks("blockSize")}, keep bsrsm2Info info, i32 policy, pointer? pBuffer of bufferSize`,
  "cusparse{S,D,C,Z}bsrsm2_solve": `${bsrsm2}, factor alpha of T, ${blocks("blockSize")}, change bsrsm2Info info, ${right("B", "ldb")}, ${right("X", "ldx")}, i32 policy, pointer? pBuffer of info.area`,
} as const;

const indices = "matrices(nnz,1,0,columnsValuesBatchStride,max(batchCount,1))";
const entries = "matrices(nnz,1,0,batchStride,max(batchCount,1))";
const byRows = "(order==2)";
const byColumns = "(order==1)";

export const sparse = readLibrary({
  name: "cuSPARSE",
  word: "sparse",
  descriptors: {
    matDescr: { make: "cusparseCreateMatDescr", destroy: "cusparseDestroyMatDescr" },
    spMat: {
      make: "cusparseCreateCsr",
      destroy: "cusparseDestroySpMat",
      holds: {
        csrRowOffsets: "matrices(rows+1,1,0,offsetsBatchStride,max(batchCount,1))*csrRowOffsetsType",
        csrColInd: `${indices}*csrColIndType`,
        csrValues: `${indices}*valueType`,
        cooRowInd: `${entries}*cooIdxType`,
        cooColInd: `${entries}*cooIdxType`,
        cooValues: `${entries}*valueType`,
      },
    },
    dnVec: { make: "cusparseCreateDnVec", destroy: "cusparseDestroyDnVec", holds: { values: "size*valueType" } },
    dnMat: {
      make: "cusparseCreateDnMat",
      destroy: "cusparseDestroyDnMat",
      holds: {
        values: `matrices(${byColumns}*rows+${byRows}*cols,${byColumns}*cols+${byRows}*rows,ld,batchStride,max(batchCount,1))*valueType`,
      },
    },
    spSV: { make: "cusparseSpSV_createDescr", destroy: "cusparseSpSV_destroyDescr" },
    spSM: { make: "cusparseSpSM_createDescr", destroy: "cusparseSpSM_destroyDescr" },
    spGEMM: { make: "cusparseSpGEMM_createDescr", destroy: "cusparseSpGEMM_destroyDescr" },
    bsrsv2Info: { make: "cusparseCreateBsrsv2Info", destroy: "cusparseDestroyBsrsv2Info" },
    bsrsm2Info: { make: "cusparseCreateBsrsm2Info", destroy: "cusparseDestroyBsrsm2Info" },
  },
  measures: ["area"],
  /** One function tells it for all that are called one after the other. */
  teller: (name) => {
    if (name === "cusparseXcsrgeam2Nnz") return "cusparseScsrgeam2_bufferSizeExt";
    const base = name.replace(/(_analysis|_preprocess|ByRow|ByColumn)$/, "");
    return /sort|geam/.test(base) ? `${base}_bufferSizeExt` : `${base}_bufferSize`;
  },
  lines,
});
