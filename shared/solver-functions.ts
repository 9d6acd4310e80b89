/**
 * The functions of cuSOLVER that travel (library-functions.ts): those that PyTorch's torch.linalg takes, and their like. A matrix is one of columns, each so many
 * elements behind the one before it as its leading dimension says. Of a work area there is as much as the library itself asks for, whatever a program says of it.
 */
import { readLibrary } from "./library-functions.ts";

/** Work areas of the functions with 64-bit sizes, the one on the host being the server's own. */
const areas =
  "pointer? bufferOnDevice of max(workspaceInBytesOnDevice,bufferSize), u64 workspaceInBytesOnDevice, hostWork bufferOnHost of workspaceInBytesOnHost, u64 workspaceInBytesOnHost, pointer info of 1 i32";
const areaSizes = "out u64 workspaceInBytesOnDevice, out u64 workspaceInBytesOnHost";
const lines = {
  cusolverDnCreateParams: "new params params",
  cusolverDnCreateGesvdjInfo: "new gesvdjInfo info",
  cusolverDnXgesvdjSetTolerance: "set gesvdjInfo info, f64 tolerance",
  cusolverDnXgesvdjSetMaxSweeps: "set gesvdjInfo info, i32 max_sweeps",
  cusolverDnXgesvdjSetSortEig: "set gesvdjInfo info, i32 sort_svd",
  cusolverDnCreateSyevjInfo: "new syevjInfo info",
  cusolverDnXsyevjSetTolerance: "set syevjInfo info, f64 tolerance",
  cusolverDnXsyevjSetMaxSweeps: "set syevjInfo info, i32 max_sweeps",
  cusolverDnXsyevjSetSortEig: "set syevjInfo info, i32 sort_eig",

  "cusolverDn{S,D,C,Z}getrf_bufferSize": "handle, i32 m, i32 n, unread A, i32 lda, out i32 lwork",
  "cusolverDn{S,D,C,Z}getrf":
    "handle, i32 m, i32 n, pointer A of matrix(m,n,lda) T, i32 lda, pointer Workspace of bufferSize T, pointer? devIpiv of min(m,n) i32, pointer devInfo of 1 i32",
  "cusolverDn{S,D,C,Z}getrs":
    "handle, i32 trans, i32 n, i32 nrhs, pointer A of matrix(n,n,lda) T, i32 lda, pointer? devIpiv of n i32, pointer B of matrix(n,nrhs,ldb) T, i32 ldb, pointer devInfo of 1 i32",

  "cusolverDn{S,D,C,Z}potrf_bufferSize": "handle, i32 uplo, i32 n, unread A, i32 lda, out i32 lwork",
  "cusolverDn{S,D,C,Z}potrf":
    "handle, i32 uplo, i32 n, pointer A of matrix(n,n,lda) T, i32 lda, pointer Workspace of max(lwork,bufferSize) T, i32 lwork, pointer devInfo of 1 i32",
  "cusolverDn{S,D,C,Z}potrs":
    "handle, i32 uplo, i32 n, i32 nrhs, pointer A of matrix(n,n,lda) T, i32 lda, pointer B of matrix(n,nrhs,ldb) T, i32 ldb, pointer devInfo of 1 i32",
  "cusolverDn{S,D,C,Z}potrfBatched":
    "handle, i32 uplo, i32 n, pointer Aarray of batchSize i64, i32 lda, pointer infoArray of batchSize i32, i32 batchSize",
  "cusolverDn{S,D,C,Z}potrsBatched":
    "handle, i32 uplo, i32 n, i32 nrhs, pointer A of batchSize i64, i32 lda, pointer B of batchSize i64, i32 ldb, pointer d_info of 1 i32, i32 batchSize",

  "cusolverDn{S,D,C,Z}geqrf_bufferSize": "handle, i32 m, i32 n, unread A, i32 lda, out i32 lwork",
  "cusolverDn{S,D,C,Z}geqrf":
    "handle, i32 m, i32 n, pointer A of matrix(m,n,lda) T, i32 lda, pointer TAU of min(m,n) T, pointer Workspace of max(lwork,bufferSize) T, i32 lwork, pointer devInfo of 1 i32",
  "cusolverDn{Sor,Dor,Cun,Zun}gqr_bufferSize":
    "handle, i32 m, i32 n, i32 k, unread A, i32 lda, unread tau, out i32 lwork",
  "cusolverDn{Sor,Dor,Cun,Zun}gqr":
    "handle, i32 m, i32 n, i32 k, pointer A of matrix(m,n,lda) T, i32 lda, pointer tau of k T, pointer work of max(lwork,bufferSize) T, i32 lwork, pointer info of 1 i32",
  "cusolverDn{Sor,Dor,Cun,Zun}mqr_bufferSize":
    "handle, i32 side, i32 trans, i32 m, i32 n, i32 k, unread A, i32 lda, unread tau, unread C, i32 ldc, out i32 lwork",
  "cusolverDn{Sor,Dor,Cun,Zun}mqr":
    "handle, i32 side, i32 trans, i32 m, i32 n, i32 k, pointer A of matrix((side==0)*m+(side==1)*n,k,lda) T, i32 lda, pointer tau of k T, pointer C of matrix(m,n,ldc) T, i32 ldc, pointer work of max(lwork,bufferSize) T, i32 lwork, pointer devInfo of 1 i32",

  "cusolverDn{S,D,C,Z}sytrf_bufferSize": "handle, i32 n, unread A, i32 lda, out i32 lwork",
  "cusolverDn{S,D,C,Z}sytrf":
    "handle, i32 uplo, i32 n, pointer A of matrix(n,n,lda) T, i32 lda, pointer? ipiv of n i32, pointer work of max(lwork,bufferSize) T, i32 lwork, pointer info of 1 i32",
  cusolverDnXsytrs_bufferSize: `handle, i32 uplo, i64 n, i64 nrhs, dataType dataTypeA, unread A, i64 lda, unread ipiv, dataType dataTypeB, unread B, i64 ldb, ${areaSizes}`,
  cusolverDnXsytrs: `handle, i32 uplo, i64 n, i64 nrhs, dataType dataTypeA, pointer A of matrix(n,n,lda) dataTypeA, i64 lda, pointer? ipiv of n i64, dataType dataTypeB, pointer B of matrix(n,nrhs,ldb) dataTypeB, i64 ldb, ${areas}`,

  "cusolverDn{Ssy,Dsy,Che,Zhe}evd_bufferSize":
    "handle, i32 jobz, i32 uplo, i32 n, unread A, i32 lda, unread W, out i32 lwork",
  "cusolverDn{Ssy,Dsy,Che,Zhe}evd":
    "handle, i32 jobz, i32 uplo, i32 n, pointer A of matrix(n,n,lda) T, i32 lda, pointer W of n R, pointer work of max(lwork,bufferSize) T, i32 lwork, pointer info of 1 i32",
  "cusolverDn{Ssy,Dsy,Che,Zhe}evjBatched_bufferSize":
    "handle, i32 jobz, i32 uplo, i32 n, unread A, i32 lda, unread W, out i32 lwork, syevjInfo params, i32 batchSize",
  "cusolverDn{Ssy,Dsy,Che,Zhe}evjBatched":
    "handle, i32 jobz, i32 uplo, i32 n, pointer A of matrices(n,n,lda,lda*n,batchSize) T, i32 lda, pointer W of n*batchSize R, pointer work of max(lwork,bufferSize) T, i32 lwork, pointer info of batchSize i32, syevjInfo params, i32 batchSize",

  "cusolverDn{S,D,C,Z}gesvd_bufferSize": "handle, i32 m, i32 n, out i32 lwork",
  "cusolverDn{S,D,C,Z}gesvd":
    "handle, i8 jobu, i8 jobvt, i32 m, i32 n, pointer A of matrix(m,n,lda) T, i32 lda, pointer S of min(m,n) R, pointer? U of (jobu==65)*matrix(m,m,ldu)+(jobu==83)*matrix(m,min(m,n),ldu) T, i32 ldu, pointer? VT of (jobvt==65)*matrix(n,n,ldvt)+(jobvt==83)*matrix(min(m,n),n,ldvt) T, i32 ldvt, pointer work of max(lwork,bufferSize) T, i32 lwork, pointer? rwork of min(m,n)-1 R, pointer info of 1 i32",
  "cusolverDn{S,D,C,Z}gesvdj_bufferSize":
    "handle, i32 jobz, i32 econ, i32 m, i32 n, unread A, i32 lda, unread S, unread U, i32 ldu, unread V, i32 ldv, out i32 lwork, gesvdjInfo params",
  "cusolverDn{S,D,C,Z}gesvdj":
    "handle, i32 jobz, i32 econ, i32 m, i32 n, pointer A of matrix(m,n,lda) T, i32 lda, pointer S of min(m,n) R, pointer? U of matrix(m,min(m,n)+(jobz==1)*(econ==0)*(m-min(m,n)),ldu) T, i32 ldu, pointer? V of matrix(n,min(m,n)+(jobz==1)*(econ==0)*(n-min(m,n)),ldv) T, i32 ldv, pointer work of max(lwork,bufferSize) T, i32 lwork, pointer info of 1 i32, gesvdjInfo params",
  "cusolverDn{S,D,C,Z}gesvdjBatched_bufferSize":
    "handle, i32 jobz, i32 m, i32 n, unread A, i32 lda, unread S, unread U, i32 ldu, unread V, i32 ldv, out i32 lwork, gesvdjInfo params, i32 batchSize",
  "cusolverDn{S,D,C,Z}gesvdjBatched":
    "handle, i32 jobz, i32 m, i32 n, pointer A of matrices(m,n,lda,lda*n,batchSize) T, i32 lda, pointer S of min(m,n)*batchSize R, pointer? U of matrices(m,m,ldu,ldu*m,batchSize) T, i32 ldu, pointer? V of matrices(n,n,ldv,ldv*n,batchSize) T, i32 ldv, pointer work of max(lwork,bufferSize) T, i32 lwork, pointer info of batchSize i32, gesvdjInfo params, i32 batchSize",
  "cusolverDn{S,D,C,Z}gesvdaStridedBatched_bufferSize":
    "handle, i32 jobz, i32 rank, i32 m, i32 n, unread d_A, i32 lda, i64 strideA, unread d_S, i64 strideS, unread d_U, i32 ldu, i64 strideU, unread d_V, i32 ldv, i64 strideV, out i32 lwork, i32 batchSize",
  "cusolverDn{S,D,C,Z}gesvdaStridedBatched":
    "handle, i32 jobz, i32 rank, i32 m, i32 n, pointer d_A of matrices(m,n,lda,strideA,batchSize) T, i32 lda, i64 strideA, pointer d_S of matrices(rank,1,rank,strideS,batchSize) R, i64 strideS, pointer? d_U of matrices(m,rank,ldu,strideU,batchSize) T, i32 ldu, i64 strideU, pointer? d_V of matrices(n,rank,ldv,strideV,batchSize) T, i32 ldv, i64 strideV, pointer d_work of max(lwork,bufferSize) T, i32 lwork, pointer d_info of batchSize i32, out? doubles h_R_nrmF of batchSize, i32 batchSize",

  cusolverDnXgetrf_bufferSize: `handle, params? params, i64 m, i64 n, dataType dataTypeA, unread A, i64 lda, dataType computeType, ${areaSizes}`,
  cusolverDnXgetrf: `handle, params? params, i64 m, i64 n, dataType dataTypeA, pointer A of matrix(m,n,lda) dataTypeA, i64 lda, pointer? ipiv of min(m,n) i64, dataType computeType, ${areas}`,
  cusolverDnXgetrs:
    "handle, params? params, i32 trans, i64 n, i64 nrhs, dataType dataTypeA, pointer A of matrix(n,n,lda) dataTypeA, i64 lda, pointer? ipiv of n i64, dataType dataTypeB, pointer B of matrix(n,nrhs,ldb) dataTypeB, i64 ldb, pointer info of 1 i32",
  cusolverDnXpotrf_bufferSize: `handle, params? params, i32 uplo, i64 n, dataType dataTypeA, unread A, i64 lda, dataType computeType, ${areaSizes}`,
  cusolverDnXpotrf: `handle, params? params, i32 uplo, i64 n, dataType dataTypeA, pointer A of matrix(n,n,lda) dataTypeA, i64 lda, dataType computeType, ${areas}`,
  cusolverDnXpotrs:
    "handle, params? params, i32 uplo, i64 n, i64 nrhs, dataType dataTypeA, pointer A of matrix(n,n,lda) dataTypeA, i64 lda, dataType dataTypeB, pointer B of matrix(n,nrhs,ldb) dataTypeB, i64 ldb, pointer info of 1 i32",
  cusolverDnXgeqrf_bufferSize: `handle, params? params, i64 m, i64 n, dataType dataTypeA, unread A, i64 lda, dataType dataTypeTau, unread tau, dataType computeType, ${areaSizes}`,
  cusolverDnXgeqrf: `handle, params? params, i64 m, i64 n, dataType dataTypeA, pointer A of matrix(m,n,lda) dataTypeA, i64 lda, dataType dataTypeTau, pointer tau of min(m,n) dataTypeTau, dataType computeType, ${areas}`,
  cusolverDnXsyevd_bufferSize: `handle, params? params, i32 jobz, i32 uplo, i64 n, dataType dataTypeA, unread A, i64 lda, dataType dataTypeW, unread W, dataType computeType, ${areaSizes}`,
  cusolverDnXsyevd: `handle, params? params, i32 jobz, i32 uplo, i64 n, dataType dataTypeA, pointer A of matrix(n,n,lda) dataTypeA, i64 lda, dataType dataTypeW, pointer W of n dataTypeW, dataType computeType, ${areas}`,
  cusolverDnXsyevBatched_bufferSize: `handle, params? params, i32 jobz, i32 uplo, i64 n, dataType dataTypeA, unread A, i64 lda, dataType dataTypeW, unread W, dataType computeType, ${areaSizes}, i64 batchSize`,
  cusolverDnXsyevBatched: `handle, params? params, i32 jobz, i32 uplo, i64 n, dataType dataTypeA, pointer A of matrices(n,n,lda,lda*n,batchSize) dataTypeA, i64 lda, dataType dataTypeW, pointer W of n*batchSize dataTypeW, dataType computeType, ${areas.replace("info of 1 ", "info of batchSize ")}, i64 batchSize`,
  cusolverDnXgeev_bufferSize: `handle, params? params, i32 jobvl, i32 jobvr, i64 n, dataType dataTypeA, unread A, i64 lda, dataType dataTypeW, unread W, dataType dataTypeVL, unread VL, i64 ldvl, dataType dataTypeVR, unread VR, i64 ldvr, dataType computeType, ${areaSizes}`,
  cusolverDnXgeev: `handle, params? params, i32 jobvl, i32 jobvr, i64 n, dataType dataTypeA, pointer A of matrix(n,n,lda) dataTypeA, i64 lda, dataType dataTypeW, pointer W of n*(1+(dataTypeW==0)+(dataTypeW==1)) dataTypeW, dataType dataTypeVL, pointer? VL of (jobvl==1)*matrix(n,n,ldvl) dataTypeVL, i64 ldvl, dataType dataTypeVR, pointer? VR of (jobvr==1)*matrix(n,n,ldvr) dataTypeVR, i64 ldvr, dataType computeType, ${areas}`,

  "cusolverDn{Ssy,Dsy,Che,Zhe}evj_bufferSize":
    "handle, i32 jobz, i32 uplo, i32 n, unread A, i32 lda, unread W, out i32 lwork, syevjInfo params",
  "cusolverDn{Ssy,Dsy,Che,Zhe}evj":
    "handle, i32 jobz, i32 uplo, i32 n, pointer A of matrix(n,n,lda) T, i32 lda, pointer W of n R, pointer work of max(lwork,bufferSize) T, i32 lwork, pointer info of 1 i32, syevjInfo params",
} as const;

export const solver = readLibrary({
  name: "cuSOLVER",
  word: "solver",
  descriptors: {
    params: { make: "cusolverDnCreateParams", destroy: "cusolverDnDestroyParams" },
    gesvdjInfo: { make: "cusolverDnCreateGesvdjInfo", destroy: "cusolverDnDestroyGesvdjInfo" },
    syevjInfo: { make: "cusolverDnCreateSyevjInfo", destroy: "cusolverDnDestroySyevjInfo" },
  },
  measures: [],
  lines,
});
