/**
 * The functions of cuBLAS that travel (library-functions.ts): factorisations and solves of batches, whose matrices stand in lists in the device's memory; of matrices
 * with nothing in them there need be none. Everything else of cuBLAS the client does by products and kernels of its own.
 */
import { readLibrary } from "./library-functions.ts";

const lines = {
  "cublas{S,D,C,Z}getrfBatched":
    "handle, i32 n, pointer Aarray of batchSize*min(1,n) i64, i32 lda, pointer? PivotArray of n*batchSize i32, pointer infoArray of batchSize i32, i32 batchSize",
  "cublas{S,D,C,Z}getriBatched":
    "handle, i32 n, pointer Aarray of batchSize*min(1,n) i64, i32 lda, pointer? PivotArray of n*batchSize i32, pointer Carray of batchSize*min(1,n) i64, i32 ldc, pointer infoArray of batchSize i32, i32 batchSize",
  "cublas{S,D,C,Z}getrsBatched":
    "handle, i32 trans, i32 n, i32 nrhs, pointer Aarray of batchSize*min(1,n) i64, i32 lda, pointer? devIpiv of n*batchSize i32, pointer Barray of batchSize*min(1,n) i64, i32 ldb, out i32 info, i32 batchSize",
  "cublas{S,D,C,Z}geqrfBatched":
    "handle, i32 m, i32 n, pointer Aarray of batchSize*min(1,m*n) i64, i32 lda, pointer TauArray of batchSize*min(1,m*n) i64, out i32 info, i32 batchSize",
  "cublas{S,D,C,Z}gelsBatched":
    "handle, i32 trans, i32 m, i32 n, i32 nrhs, pointer Aarray of batchSize i64, i32 lda, pointer Carray of batchSize i64, i32 ldc, out i32 info, pointer? devInfoArray of batchSize i32, i32 batchSize",
  "cublas{S,D,C,Z}matinvBatched":
    "handle, i32 n, pointer A of batchSize*min(1,n) i64, i32 lda, pointer Ainv of batchSize*min(1,n) i64, i32 lda_inv, pointer info of batchSize i32, i32 batchSize",
} as const;

export const blas = readLibrary({ name: "cuBLAS", word: "blas", descriptors: {}, measures: [], lines });
