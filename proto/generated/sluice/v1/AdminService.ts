// Original file: proto/sluice/v1/admin.proto

import type * as grpc from '@grpc/grpc-js'
import type { MethodDefinition } from '@grpc/proto-loader'
import type { CordonRequest as _sluice_v1_CordonRequest, CordonRequest__Output as _sluice_v1_CordonRequest__Output } from '../../sluice/v1/CordonRequest.ts';
import type { CordonResponse as _sluice_v1_CordonResponse, CordonResponse__Output as _sluice_v1_CordonResponse__Output } from '../../sluice/v1/CordonResponse.ts';
import type { ListQuotasRequest as _sluice_v1_ListQuotasRequest, ListQuotasRequest__Output as _sluice_v1_ListQuotasRequest__Output } from '../../sluice/v1/ListQuotasRequest.ts';
import type { ListQuotasResponse as _sluice_v1_ListQuotasResponse, ListQuotasResponse__Output as _sluice_v1_ListQuotasResponse__Output } from '../../sluice/v1/ListQuotasResponse.ts';
import type { ListUsageRequest as _sluice_v1_ListUsageRequest, ListUsageRequest__Output as _sluice_v1_ListUsageRequest__Output } from '../../sluice/v1/ListUsageRequest.ts';
import type { ListUsageResponse as _sluice_v1_ListUsageResponse, ListUsageResponse__Output as _sluice_v1_ListUsageResponse__Output } from '../../sluice/v1/ListUsageResponse.ts';
import type { RevokeRequest as _sluice_v1_RevokeRequest, RevokeRequest__Output as _sluice_v1_RevokeRequest__Output } from '../../sluice/v1/RevokeRequest.ts';
import type { RevokeResponse as _sluice_v1_RevokeResponse, RevokeResponse__Output as _sluice_v1_RevokeResponse__Output } from '../../sluice/v1/RevokeResponse.ts';
import type { SetQuotaRequest as _sluice_v1_SetQuotaRequest, SetQuotaRequest__Output as _sluice_v1_SetQuotaRequest__Output } from '../../sluice/v1/SetQuotaRequest.ts';
import type { SetQuotaResponse as _sluice_v1_SetQuotaResponse, SetQuotaResponse__Output as _sluice_v1_SetQuotaResponse__Output } from '../../sluice/v1/SetQuotaResponse.ts';
import type { UncordonRequest as _sluice_v1_UncordonRequest, UncordonRequest__Output as _sluice_v1_UncordonRequest__Output } from '../../sluice/v1/UncordonRequest.ts';
import type { UncordonResponse as _sluice_v1_UncordonResponse, UncordonResponse__Output as _sluice_v1_UncordonResponse__Output } from '../../sluice/v1/UncordonResponse.ts';

/**
 * The admin's calls.
 */
export interface AdminServiceClient extends grpc.Client {
  /**
   * Places nothing new on a device. What runs there runs on. Outlives a restart. Cordoning again changes the message.
   */
  Cordon(argument: _sluice_v1_CordonRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_CordonResponse__Output>): grpc.ClientUnaryCall;
  Cordon(argument: _sluice_v1_CordonRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_sluice_v1_CordonResponse__Output>): grpc.ClientUnaryCall;
  Cordon(argument: _sluice_v1_CordonRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_CordonResponse__Output>): grpc.ClientUnaryCall;
  Cordon(argument: _sluice_v1_CordonRequest, callback: grpc.requestCallback<_sluice_v1_CordonResponse__Output>): grpc.ClientUnaryCall;
  /**
   * Places nothing new on a device. What runs there runs on. Outlives a restart. Cordoning again changes the message.
   */
  cordon(argument: _sluice_v1_CordonRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_CordonResponse__Output>): grpc.ClientUnaryCall;
  cordon(argument: _sluice_v1_CordonRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_sluice_v1_CordonResponse__Output>): grpc.ClientUnaryCall;
  cordon(argument: _sluice_v1_CordonRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_CordonResponse__Output>): grpc.ClientUnaryCall;
  cordon(argument: _sluice_v1_CordonRequest, callback: grpc.requestCallback<_sluice_v1_CordonResponse__Output>): grpc.ClientUnaryCall;
  
  /**
   * All tenants that the pool has heard of, with what they may have and what they have.
   */
  ListQuotas(argument: _sluice_v1_ListQuotasRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_ListQuotasResponse__Output>): grpc.ClientUnaryCall;
  ListQuotas(argument: _sluice_v1_ListQuotasRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_sluice_v1_ListQuotasResponse__Output>): grpc.ClientUnaryCall;
  ListQuotas(argument: _sluice_v1_ListQuotasRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_ListQuotasResponse__Output>): grpc.ClientUnaryCall;
  ListQuotas(argument: _sluice_v1_ListQuotasRequest, callback: grpc.requestCallback<_sluice_v1_ListQuotasResponse__Output>): grpc.ClientUnaryCall;
  /**
   * All tenants that the pool has heard of, with what they may have and what they have.
   */
  listQuotas(argument: _sluice_v1_ListQuotasRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_ListQuotasResponse__Output>): grpc.ClientUnaryCall;
  listQuotas(argument: _sluice_v1_ListQuotasRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_sluice_v1_ListQuotasResponse__Output>): grpc.ClientUnaryCall;
  listQuotas(argument: _sluice_v1_ListQuotasRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_ListQuotasResponse__Output>): grpc.ClientUnaryCall;
  listQuotas(argument: _sluice_v1_ListQuotasRequest, callback: grpc.requestCallback<_sluice_v1_ListQuotasResponse__Output>): grpc.ClientUnaryCall;
  
  /**
   * Use by tenant in a span of time, from the ledger, the largest user first.
   */
  ListUsage(argument: _sluice_v1_ListUsageRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_ListUsageResponse__Output>): grpc.ClientUnaryCall;
  ListUsage(argument: _sluice_v1_ListUsageRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_sluice_v1_ListUsageResponse__Output>): grpc.ClientUnaryCall;
  ListUsage(argument: _sluice_v1_ListUsageRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_ListUsageResponse__Output>): grpc.ClientUnaryCall;
  ListUsage(argument: _sluice_v1_ListUsageRequest, callback: grpc.requestCallback<_sluice_v1_ListUsageResponse__Output>): grpc.ClientUnaryCall;
  /**
   * Use by tenant in a span of time, from the ledger, the largest user first.
   */
  listUsage(argument: _sluice_v1_ListUsageRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_ListUsageResponse__Output>): grpc.ClientUnaryCall;
  listUsage(argument: _sluice_v1_ListUsageRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_sluice_v1_ListUsageResponse__Output>): grpc.ClientUnaryCall;
  listUsage(argument: _sluice_v1_ListUsageRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_ListUsageResponse__Output>): grpc.ClientUnaryCall;
  listUsage(argument: _sluice_v1_ListUsageRequest, callback: grpc.requestCallback<_sluice_v1_ListUsageResponse__Output>): grpc.ClientUnaryCall;
  
  /**
   * Takes a lease back: its holder gets a notice at once, and the lease ends after the grace.
   */
  Revoke(argument: _sluice_v1_RevokeRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_RevokeResponse__Output>): grpc.ClientUnaryCall;
  Revoke(argument: _sluice_v1_RevokeRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_sluice_v1_RevokeResponse__Output>): grpc.ClientUnaryCall;
  Revoke(argument: _sluice_v1_RevokeRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_RevokeResponse__Output>): grpc.ClientUnaryCall;
  Revoke(argument: _sluice_v1_RevokeRequest, callback: grpc.requestCallback<_sluice_v1_RevokeResponse__Output>): grpc.ClientUnaryCall;
  /**
   * Takes a lease back: its holder gets a notice at once, and the lease ends after the grace.
   */
  revoke(argument: _sluice_v1_RevokeRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_RevokeResponse__Output>): grpc.ClientUnaryCall;
  revoke(argument: _sluice_v1_RevokeRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_sluice_v1_RevokeResponse__Output>): grpc.ClientUnaryCall;
  revoke(argument: _sluice_v1_RevokeRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_RevokeResponse__Output>): grpc.ClientUnaryCall;
  revoke(argument: _sluice_v1_RevokeRequest, callback: grpc.requestCallback<_sluice_v1_RevokeResponse__Output>): grpc.ClientUnaryCall;
  
  /**
   * Sets what a tenant may have, as a whole: bounds that are not set are lifted. Takes effect at once, outlives a restart,
   * and takes nothing away from anybody.
   */
  SetQuota(argument: _sluice_v1_SetQuotaRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_SetQuotaResponse__Output>): grpc.ClientUnaryCall;
  SetQuota(argument: _sluice_v1_SetQuotaRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_sluice_v1_SetQuotaResponse__Output>): grpc.ClientUnaryCall;
  SetQuota(argument: _sluice_v1_SetQuotaRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_SetQuotaResponse__Output>): grpc.ClientUnaryCall;
  SetQuota(argument: _sluice_v1_SetQuotaRequest, callback: grpc.requestCallback<_sluice_v1_SetQuotaResponse__Output>): grpc.ClientUnaryCall;
  /**
   * Sets what a tenant may have, as a whole: bounds that are not set are lifted. Takes effect at once, outlives a restart,
   * and takes nothing away from anybody.
   */
  setQuota(argument: _sluice_v1_SetQuotaRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_SetQuotaResponse__Output>): grpc.ClientUnaryCall;
  setQuota(argument: _sluice_v1_SetQuotaRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_sluice_v1_SetQuotaResponse__Output>): grpc.ClientUnaryCall;
  setQuota(argument: _sluice_v1_SetQuotaRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_SetQuotaResponse__Output>): grpc.ClientUnaryCall;
  setQuota(argument: _sluice_v1_SetQuotaRequest, callback: grpc.requestCallback<_sluice_v1_SetQuotaResponse__Output>): grpc.ClientUnaryCall;
  
  /**
   * Opens a device again. Uncordoning one that is open succeeds.
   */
  Uncordon(argument: _sluice_v1_UncordonRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_UncordonResponse__Output>): grpc.ClientUnaryCall;
  Uncordon(argument: _sluice_v1_UncordonRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_sluice_v1_UncordonResponse__Output>): grpc.ClientUnaryCall;
  Uncordon(argument: _sluice_v1_UncordonRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_UncordonResponse__Output>): grpc.ClientUnaryCall;
  Uncordon(argument: _sluice_v1_UncordonRequest, callback: grpc.requestCallback<_sluice_v1_UncordonResponse__Output>): grpc.ClientUnaryCall;
  /**
   * Opens a device again. Uncordoning one that is open succeeds.
   */
  uncordon(argument: _sluice_v1_UncordonRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_UncordonResponse__Output>): grpc.ClientUnaryCall;
  uncordon(argument: _sluice_v1_UncordonRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_sluice_v1_UncordonResponse__Output>): grpc.ClientUnaryCall;
  uncordon(argument: _sluice_v1_UncordonRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_UncordonResponse__Output>): grpc.ClientUnaryCall;
  uncordon(argument: _sluice_v1_UncordonRequest, callback: grpc.requestCallback<_sluice_v1_UncordonResponse__Output>): grpc.ClientUnaryCall;
  
}

/**
 * The admin's calls.
 */
export interface AdminServiceHandlers extends grpc.UntypedServiceImplementation {
  /**
   * Places nothing new on a device. What runs there runs on. Outlives a restart. Cordoning again changes the message.
   */
  Cordon: grpc.handleUnaryCall<_sluice_v1_CordonRequest__Output, _sluice_v1_CordonResponse>;
  
  /**
   * All tenants that the pool has heard of, with what they may have and what they have.
   */
  ListQuotas: grpc.handleUnaryCall<_sluice_v1_ListQuotasRequest__Output, _sluice_v1_ListQuotasResponse>;
  
  /**
   * Use by tenant in a span of time, from the ledger, the largest user first.
   */
  ListUsage: grpc.handleUnaryCall<_sluice_v1_ListUsageRequest__Output, _sluice_v1_ListUsageResponse>;
  
  /**
   * Takes a lease back: its holder gets a notice at once, and the lease ends after the grace.
   */
  Revoke: grpc.handleUnaryCall<_sluice_v1_RevokeRequest__Output, _sluice_v1_RevokeResponse>;
  
  /**
   * Sets what a tenant may have, as a whole: bounds that are not set are lifted. Takes effect at once, outlives a restart,
   * and takes nothing away from anybody.
   */
  SetQuota: grpc.handleUnaryCall<_sluice_v1_SetQuotaRequest__Output, _sluice_v1_SetQuotaResponse>;
  
  /**
   * Opens a device again. Uncordoning one that is open succeeds.
   */
  Uncordon: grpc.handleUnaryCall<_sluice_v1_UncordonRequest__Output, _sluice_v1_UncordonResponse>;
  
}

export interface AdminServiceDefinition extends grpc.ServiceDefinition {
  Cordon: MethodDefinition<_sluice_v1_CordonRequest, _sluice_v1_CordonResponse, _sluice_v1_CordonRequest__Output, _sluice_v1_CordonResponse__Output>
  ListQuotas: MethodDefinition<_sluice_v1_ListQuotasRequest, _sluice_v1_ListQuotasResponse, _sluice_v1_ListQuotasRequest__Output, _sluice_v1_ListQuotasResponse__Output>
  ListUsage: MethodDefinition<_sluice_v1_ListUsageRequest, _sluice_v1_ListUsageResponse, _sluice_v1_ListUsageRequest__Output, _sluice_v1_ListUsageResponse__Output>
  Revoke: MethodDefinition<_sluice_v1_RevokeRequest, _sluice_v1_RevokeResponse, _sluice_v1_RevokeRequest__Output, _sluice_v1_RevokeResponse__Output>
  SetQuota: MethodDefinition<_sluice_v1_SetQuotaRequest, _sluice_v1_SetQuotaResponse, _sluice_v1_SetQuotaRequest__Output, _sluice_v1_SetQuotaResponse__Output>
  Uncordon: MethodDefinition<_sluice_v1_UncordonRequest, _sluice_v1_UncordonResponse, _sluice_v1_UncordonRequest__Output, _sluice_v1_UncordonResponse__Output>
}
