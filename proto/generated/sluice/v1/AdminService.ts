// Original file: proto/sluice/v1/admin.proto

import type * as grpc from '@grpc/grpc-js'
import type { MethodDefinition } from '@grpc/proto-loader'
import type { CancelQueuedRequest as _sluice_v1_CancelQueuedRequest, CancelQueuedRequest__Output as _sluice_v1_CancelQueuedRequest__Output } from '../../sluice/v1/CancelQueuedRequest.ts';
import type { CancelQueuedResponse as _sluice_v1_CancelQueuedResponse, CancelQueuedResponse__Output as _sluice_v1_CancelQueuedResponse__Output } from '../../sluice/v1/CancelQueuedResponse.ts';
import type { CordonRequest as _sluice_v1_CordonRequest, CordonRequest__Output as _sluice_v1_CordonRequest__Output } from '../../sluice/v1/CordonRequest.ts';
import type { CordonResponse as _sluice_v1_CordonResponse, CordonResponse__Output as _sluice_v1_CordonResponse__Output } from '../../sluice/v1/CordonResponse.ts';
import type { CreateTokenRequest as _sluice_v1_CreateTokenRequest, CreateTokenRequest__Output as _sluice_v1_CreateTokenRequest__Output } from '../../sluice/v1/CreateTokenRequest.ts';
import type { CreateTokenResponse as _sluice_v1_CreateTokenResponse, CreateTokenResponse__Output as _sluice_v1_CreateTokenResponse__Output } from '../../sluice/v1/CreateTokenResponse.ts';
import type { DrainRequest as _sluice_v1_DrainRequest, DrainRequest__Output as _sluice_v1_DrainRequest__Output } from '../../sluice/v1/DrainRequest.ts';
import type { DrainResponse as _sluice_v1_DrainResponse, DrainResponse__Output as _sluice_v1_DrainResponse__Output } from '../../sluice/v1/DrainResponse.ts';
import type { ExtendRequest as _sluice_v1_ExtendRequest, ExtendRequest__Output as _sluice_v1_ExtendRequest__Output } from '../../sluice/v1/ExtendRequest.ts';
import type { ExtendResponse as _sluice_v1_ExtendResponse, ExtendResponse__Output as _sluice_v1_ExtendResponse__Output } from '../../sluice/v1/ExtendResponse.ts';
import type { ListEventsRequest as _sluice_v1_ListEventsRequest, ListEventsRequest__Output as _sluice_v1_ListEventsRequest__Output } from '../../sluice/v1/ListEventsRequest.ts';
import type { ListEventsResponse as _sluice_v1_ListEventsResponse, ListEventsResponse__Output as _sluice_v1_ListEventsResponse__Output } from '../../sluice/v1/ListEventsResponse.ts';
import type { ListQuotasRequest as _sluice_v1_ListQuotasRequest, ListQuotasRequest__Output as _sluice_v1_ListQuotasRequest__Output } from '../../sluice/v1/ListQuotasRequest.ts';
import type { ListQuotasResponse as _sluice_v1_ListQuotasResponse, ListQuotasResponse__Output as _sluice_v1_ListQuotasResponse__Output } from '../../sluice/v1/ListQuotasResponse.ts';
import type { ListReservationsRequest as _sluice_v1_ListReservationsRequest, ListReservationsRequest__Output as _sluice_v1_ListReservationsRequest__Output } from '../../sluice/v1/ListReservationsRequest.ts';
import type { ListReservationsResponse as _sluice_v1_ListReservationsResponse, ListReservationsResponse__Output as _sluice_v1_ListReservationsResponse__Output } from '../../sluice/v1/ListReservationsResponse.ts';
import type { ListTokensRequest as _sluice_v1_ListTokensRequest, ListTokensRequest__Output as _sluice_v1_ListTokensRequest__Output } from '../../sluice/v1/ListTokensRequest.ts';
import type { ListTokensResponse as _sluice_v1_ListTokensResponse, ListTokensResponse__Output as _sluice_v1_ListTokensResponse__Output } from '../../sluice/v1/ListTokensResponse.ts';
import type { ListUsageRequest as _sluice_v1_ListUsageRequest, ListUsageRequest__Output as _sluice_v1_ListUsageRequest__Output } from '../../sluice/v1/ListUsageRequest.ts';
import type { ListUsageResponse as _sluice_v1_ListUsageResponse, ListUsageResponse__Output as _sluice_v1_ListUsageResponse__Output } from '../../sluice/v1/ListUsageResponse.ts';
import type { ReserveRequest as _sluice_v1_ReserveRequest, ReserveRequest__Output as _sluice_v1_ReserveRequest__Output } from '../../sluice/v1/ReserveRequest.ts';
import type { ReserveResponse as _sluice_v1_ReserveResponse, ReserveResponse__Output as _sluice_v1_ReserveResponse__Output } from '../../sluice/v1/ReserveResponse.ts';
import type { RevokeRequest as _sluice_v1_RevokeRequest, RevokeRequest__Output as _sluice_v1_RevokeRequest__Output } from '../../sluice/v1/RevokeRequest.ts';
import type { RevokeResponse as _sluice_v1_RevokeResponse, RevokeResponse__Output as _sluice_v1_RevokeResponse__Output } from '../../sluice/v1/RevokeResponse.ts';
import type { RevokeTokenRequest as _sluice_v1_RevokeTokenRequest, RevokeTokenRequest__Output as _sluice_v1_RevokeTokenRequest__Output } from '../../sluice/v1/RevokeTokenRequest.ts';
import type { RevokeTokenResponse as _sluice_v1_RevokeTokenResponse, RevokeTokenResponse__Output as _sluice_v1_RevokeTokenResponse__Output } from '../../sluice/v1/RevokeTokenResponse.ts';
import type { SetPriorityRequest as _sluice_v1_SetPriorityRequest, SetPriorityRequest__Output as _sluice_v1_SetPriorityRequest__Output } from '../../sluice/v1/SetPriorityRequest.ts';
import type { SetPriorityResponse as _sluice_v1_SetPriorityResponse, SetPriorityResponse__Output as _sluice_v1_SetPriorityResponse__Output } from '../../sluice/v1/SetPriorityResponse.ts';
import type { SetQuotaRequest as _sluice_v1_SetQuotaRequest, SetQuotaRequest__Output as _sluice_v1_SetQuotaRequest__Output } from '../../sluice/v1/SetQuotaRequest.ts';
import type { SetQuotaResponse as _sluice_v1_SetQuotaResponse, SetQuotaResponse__Output as _sluice_v1_SetQuotaResponse__Output } from '../../sluice/v1/SetQuotaResponse.ts';
import type { UncordonRequest as _sluice_v1_UncordonRequest, UncordonRequest__Output as _sluice_v1_UncordonRequest__Output } from '../../sluice/v1/UncordonRequest.ts';
import type { UncordonResponse as _sluice_v1_UncordonResponse, UncordonResponse__Output as _sluice_v1_UncordonResponse__Output } from '../../sluice/v1/UncordonResponse.ts';
import type { UnreserveRequest as _sluice_v1_UnreserveRequest, UnreserveRequest__Output as _sluice_v1_UnreserveRequest__Output } from '../../sluice/v1/UnreserveRequest.ts';
import type { UnreserveResponse as _sluice_v1_UnreserveResponse, UnreserveResponse__Output as _sluice_v1_UnreserveResponse__Output } from '../../sluice/v1/UnreserveResponse.ts';

/**
 * The admin's calls.
 */
export interface AdminServiceClient extends grpc.Client {
  /**
   * Takes a request out of the queue: whoever waits for it gets CANCELLED.
   */
  CancelQueued(argument: _sluice_v1_CancelQueuedRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_CancelQueuedResponse__Output>): grpc.ClientUnaryCall;
  CancelQueued(argument: _sluice_v1_CancelQueuedRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_sluice_v1_CancelQueuedResponse__Output>): grpc.ClientUnaryCall;
  CancelQueued(argument: _sluice_v1_CancelQueuedRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_CancelQueuedResponse__Output>): grpc.ClientUnaryCall;
  CancelQueued(argument: _sluice_v1_CancelQueuedRequest, callback: grpc.requestCallback<_sluice_v1_CancelQueuedResponse__Output>): grpc.ClientUnaryCall;
  /**
   * Takes a request out of the queue: whoever waits for it gets CANCELLED.
   */
  cancelQueued(argument: _sluice_v1_CancelQueuedRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_CancelQueuedResponse__Output>): grpc.ClientUnaryCall;
  cancelQueued(argument: _sluice_v1_CancelQueuedRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_sluice_v1_CancelQueuedResponse__Output>): grpc.ClientUnaryCall;
  cancelQueued(argument: _sluice_v1_CancelQueuedRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_CancelQueuedResponse__Output>): grpc.ClientUnaryCall;
  cancelQueued(argument: _sluice_v1_CancelQueuedRequest, callback: grpc.requestCallback<_sluice_v1_CancelQueuedResponse__Output>): grpc.ClientUnaryCall;
  
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
   * Makes a token, which the answer shows once. The first one of a server is an admin's, and from then on the server asks everybody for
   * one.
   */
  CreateToken(argument: _sluice_v1_CreateTokenRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_CreateTokenResponse__Output>): grpc.ClientUnaryCall;
  CreateToken(argument: _sluice_v1_CreateTokenRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_sluice_v1_CreateTokenResponse__Output>): grpc.ClientUnaryCall;
  CreateToken(argument: _sluice_v1_CreateTokenRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_CreateTokenResponse__Output>): grpc.ClientUnaryCall;
  CreateToken(argument: _sluice_v1_CreateTokenRequest, callback: grpc.requestCallback<_sluice_v1_CreateTokenResponse__Output>): grpc.ClientUnaryCall;
  /**
   * Makes a token, which the answer shows once. The first one of a server is an admin's, and from then on the server asks everybody for
   * one.
   */
  createToken(argument: _sluice_v1_CreateTokenRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_CreateTokenResponse__Output>): grpc.ClientUnaryCall;
  createToken(argument: _sluice_v1_CreateTokenRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_sluice_v1_CreateTokenResponse__Output>): grpc.ClientUnaryCall;
  createToken(argument: _sluice_v1_CreateTokenRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_CreateTokenResponse__Output>): grpc.ClientUnaryCall;
  createToken(argument: _sluice_v1_CreateTokenRequest, callback: grpc.requestCallback<_sluice_v1_CreateTokenResponse__Output>): grpc.ClientUnaryCall;
  
  /**
   * Empties a device: cordons it, and takes back every lease that has a slice of it, after a notice and a grace. The stream tells
   * which leases are left, at once and whenever that changes, and ends when none is. Ending the call stops only the telling.
   * Uncordoning the device ends the drain: the stream then fails with CANCELLED.
   */
  Drain(argument: _sluice_v1_DrainRequest, metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientReadableStream<_sluice_v1_DrainResponse__Output>;
  Drain(argument: _sluice_v1_DrainRequest, options?: grpc.CallOptions): grpc.ClientReadableStream<_sluice_v1_DrainResponse__Output>;
  /**
   * Empties a device: cordons it, and takes back every lease that has a slice of it, after a notice and a grace. The stream tells
   * which leases are left, at once and whenever that changes, and ends when none is. Ending the call stops only the telling.
   * Uncordoning the device ends the drain: the stream then fails with CANCELLED.
   */
  drain(argument: _sluice_v1_DrainRequest, metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientReadableStream<_sluice_v1_DrainResponse__Output>;
  drain(argument: _sluice_v1_DrainRequest, options?: grpc.CallOptions): grpc.ClientReadableStream<_sluice_v1_DrainResponse__Output>;
  
  /**
   * Moves the end of a lease later: of its maximum duration, or of the grace after a notice. Its holder is told.
   */
  Extend(argument: _sluice_v1_ExtendRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_ExtendResponse__Output>): grpc.ClientUnaryCall;
  Extend(argument: _sluice_v1_ExtendRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_sluice_v1_ExtendResponse__Output>): grpc.ClientUnaryCall;
  Extend(argument: _sluice_v1_ExtendRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_ExtendResponse__Output>): grpc.ClientUnaryCall;
  Extend(argument: _sluice_v1_ExtendRequest, callback: grpc.requestCallback<_sluice_v1_ExtendResponse__Output>): grpc.ClientUnaryCall;
  /**
   * Moves the end of a lease later: of its maximum duration, or of the grace after a notice. Its holder is told.
   */
  extend(argument: _sluice_v1_ExtendRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_ExtendResponse__Output>): grpc.ClientUnaryCall;
  extend(argument: _sluice_v1_ExtendRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_sluice_v1_ExtendResponse__Output>): grpc.ClientUnaryCall;
  extend(argument: _sluice_v1_ExtendRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_ExtendResponse__Output>): grpc.ClientUnaryCall;
  extend(argument: _sluice_v1_ExtendRequest, callback: grpc.requestCallback<_sluice_v1_ExtendResponse__Output>): grpc.ClientUnaryCall;
  
  /**
   * The audit log, the newest first: what admins have done, and who was refused.
   */
  ListEvents(argument: _sluice_v1_ListEventsRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_ListEventsResponse__Output>): grpc.ClientUnaryCall;
  ListEvents(argument: _sluice_v1_ListEventsRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_sluice_v1_ListEventsResponse__Output>): grpc.ClientUnaryCall;
  ListEvents(argument: _sluice_v1_ListEventsRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_ListEventsResponse__Output>): grpc.ClientUnaryCall;
  ListEvents(argument: _sluice_v1_ListEventsRequest, callback: grpc.requestCallback<_sluice_v1_ListEventsResponse__Output>): grpc.ClientUnaryCall;
  /**
   * The audit log, the newest first: what admins have done, and who was refused.
   */
  listEvents(argument: _sluice_v1_ListEventsRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_ListEventsResponse__Output>): grpc.ClientUnaryCall;
  listEvents(argument: _sluice_v1_ListEventsRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_sluice_v1_ListEventsResponse__Output>): grpc.ClientUnaryCall;
  listEvents(argument: _sluice_v1_ListEventsRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_ListEventsResponse__Output>): grpc.ClientUnaryCall;
  listEvents(argument: _sluice_v1_ListEventsRequest, callback: grpc.requestCallback<_sluice_v1_ListEventsResponse__Output>): grpc.ClientUnaryCall;
  
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
   * All reservations, in the order in which they were made.
   */
  ListReservations(argument: _sluice_v1_ListReservationsRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_ListReservationsResponse__Output>): grpc.ClientUnaryCall;
  ListReservations(argument: _sluice_v1_ListReservationsRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_sluice_v1_ListReservationsResponse__Output>): grpc.ClientUnaryCall;
  ListReservations(argument: _sluice_v1_ListReservationsRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_ListReservationsResponse__Output>): grpc.ClientUnaryCall;
  ListReservations(argument: _sluice_v1_ListReservationsRequest, callback: grpc.requestCallback<_sluice_v1_ListReservationsResponse__Output>): grpc.ClientUnaryCall;
  /**
   * All reservations, in the order in which they were made.
   */
  listReservations(argument: _sluice_v1_ListReservationsRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_ListReservationsResponse__Output>): grpc.ClientUnaryCall;
  listReservations(argument: _sluice_v1_ListReservationsRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_sluice_v1_ListReservationsResponse__Output>): grpc.ClientUnaryCall;
  listReservations(argument: _sluice_v1_ListReservationsRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_ListReservationsResponse__Output>): grpc.ClientUnaryCall;
  listReservations(argument: _sluice_v1_ListReservationsRequest, callback: grpc.requestCallback<_sluice_v1_ListReservationsResponse__Output>): grpc.ClientUnaryCall;
  
  /**
   * All tokens, those that have ended included, the oldest first. It shows none of them.
   */
  ListTokens(argument: _sluice_v1_ListTokensRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_ListTokensResponse__Output>): grpc.ClientUnaryCall;
  ListTokens(argument: _sluice_v1_ListTokensRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_sluice_v1_ListTokensResponse__Output>): grpc.ClientUnaryCall;
  ListTokens(argument: _sluice_v1_ListTokensRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_ListTokensResponse__Output>): grpc.ClientUnaryCall;
  ListTokens(argument: _sluice_v1_ListTokensRequest, callback: grpc.requestCallback<_sluice_v1_ListTokensResponse__Output>): grpc.ClientUnaryCall;
  /**
   * All tokens, those that have ended included, the oldest first. It shows none of them.
   */
  listTokens(argument: _sluice_v1_ListTokensRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_ListTokensResponse__Output>): grpc.ClientUnaryCall;
  listTokens(argument: _sluice_v1_ListTokensRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_sluice_v1_ListTokensResponse__Output>): grpc.ClientUnaryCall;
  listTokens(argument: _sluice_v1_ListTokensRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_ListTokensResponse__Output>): grpc.ClientUnaryCall;
  listTokens(argument: _sluice_v1_ListTokensRequest, callback: grpc.requestCallback<_sluice_v1_ListTokensResponse__Output>): grpc.ClientUnaryCall;
  
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
   * Holds fixed slices of devices for a tenant, now or not at all, whether or not leases use them. The tenant's requests for fixed
   * slices are served inside where they can be. Outlives a restart.
   */
  Reserve(argument: _sluice_v1_ReserveRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_ReserveResponse__Output>): grpc.ClientUnaryCall;
  Reserve(argument: _sluice_v1_ReserveRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_sluice_v1_ReserveResponse__Output>): grpc.ClientUnaryCall;
  Reserve(argument: _sluice_v1_ReserveRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_ReserveResponse__Output>): grpc.ClientUnaryCall;
  Reserve(argument: _sluice_v1_ReserveRequest, callback: grpc.requestCallback<_sluice_v1_ReserveResponse__Output>): grpc.ClientUnaryCall;
  /**
   * Holds fixed slices of devices for a tenant, now or not at all, whether or not leases use them. The tenant's requests for fixed
   * slices are served inside where they can be. Outlives a restart.
   */
  reserve(argument: _sluice_v1_ReserveRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_ReserveResponse__Output>): grpc.ClientUnaryCall;
  reserve(argument: _sluice_v1_ReserveRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_sluice_v1_ReserveResponse__Output>): grpc.ClientUnaryCall;
  reserve(argument: _sluice_v1_ReserveRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_ReserveResponse__Output>): grpc.ClientUnaryCall;
  reserve(argument: _sluice_v1_ReserveRequest, callback: grpc.requestCallback<_sluice_v1_ReserveResponse__Output>): grpc.ClientUnaryCall;
  
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
   * Makes a token worthless at once: streams, `Submit` and logins that it opened end with UNAUTHENTICATED, and the leases that it asked for
   * with LEASE_REVOKED, data connections and all. Leases of the tenant's other tokens live on.
   */
  RevokeToken(argument: _sluice_v1_RevokeTokenRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_RevokeTokenResponse__Output>): grpc.ClientUnaryCall;
  RevokeToken(argument: _sluice_v1_RevokeTokenRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_sluice_v1_RevokeTokenResponse__Output>): grpc.ClientUnaryCall;
  RevokeToken(argument: _sluice_v1_RevokeTokenRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_RevokeTokenResponse__Output>): grpc.ClientUnaryCall;
  RevokeToken(argument: _sluice_v1_RevokeTokenRequest, callback: grpc.requestCallback<_sluice_v1_RevokeTokenResponse__Output>): grpc.ClientUnaryCall;
  /**
   * Makes a token worthless at once: streams, `Submit` and logins that it opened end with UNAUTHENTICATED, and the leases that it asked for
   * with LEASE_REVOKED, data connections and all. Leases of the tenant's other tokens live on.
   */
  revokeToken(argument: _sluice_v1_RevokeTokenRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_RevokeTokenResponse__Output>): grpc.ClientUnaryCall;
  revokeToken(argument: _sluice_v1_RevokeTokenRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_sluice_v1_RevokeTokenResponse__Output>): grpc.ClientUnaryCall;
  revokeToken(argument: _sluice_v1_RevokeTokenRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_RevokeTokenResponse__Output>): grpc.ClientUnaryCall;
  revokeToken(argument: _sluice_v1_RevokeTokenRequest, callback: grpc.requestCallback<_sluice_v1_RevokeTokenResponse__Output>): grpc.ClientUnaryCall;
  
  /**
   * Changes the priority of a request that waits; its place in the queue changes at once. A quota's bound of priorities does not
   * bind the admin.
   */
  SetPriority(argument: _sluice_v1_SetPriorityRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_SetPriorityResponse__Output>): grpc.ClientUnaryCall;
  SetPriority(argument: _sluice_v1_SetPriorityRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_sluice_v1_SetPriorityResponse__Output>): grpc.ClientUnaryCall;
  SetPriority(argument: _sluice_v1_SetPriorityRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_SetPriorityResponse__Output>): grpc.ClientUnaryCall;
  SetPriority(argument: _sluice_v1_SetPriorityRequest, callback: grpc.requestCallback<_sluice_v1_SetPriorityResponse__Output>): grpc.ClientUnaryCall;
  /**
   * Changes the priority of a request that waits; its place in the queue changes at once. A quota's bound of priorities does not
   * bind the admin.
   */
  setPriority(argument: _sluice_v1_SetPriorityRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_SetPriorityResponse__Output>): grpc.ClientUnaryCall;
  setPriority(argument: _sluice_v1_SetPriorityRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_sluice_v1_SetPriorityResponse__Output>): grpc.ClientUnaryCall;
  setPriority(argument: _sluice_v1_SetPriorityRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_SetPriorityResponse__Output>): grpc.ClientUnaryCall;
  setPriority(argument: _sluice_v1_SetPriorityRequest, callback: grpc.requestCallback<_sluice_v1_SetPriorityResponse__Output>): grpc.ClientUnaryCall;
  
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
   * Opens a device again. Uncordoning one that is open succeeds. A device that was closed because it fails its health check
   * (DEVICE_UNHEALTHY) stays closed until this is called, however well it reports to be later: what it has reported counts no
   * more, and if it is still ill, the next check closes it again.
   */
  Uncordon(argument: _sluice_v1_UncordonRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_UncordonResponse__Output>): grpc.ClientUnaryCall;
  Uncordon(argument: _sluice_v1_UncordonRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_sluice_v1_UncordonResponse__Output>): grpc.ClientUnaryCall;
  Uncordon(argument: _sluice_v1_UncordonRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_UncordonResponse__Output>): grpc.ClientUnaryCall;
  Uncordon(argument: _sluice_v1_UncordonRequest, callback: grpc.requestCallback<_sluice_v1_UncordonResponse__Output>): grpc.ClientUnaryCall;
  /**
   * Opens a device again. Uncordoning one that is open succeeds. A device that was closed because it fails its health check
   * (DEVICE_UNHEALTHY) stays closed until this is called, however well it reports to be later: what it has reported counts no
   * more, and if it is still ill, the next check closes it again.
   */
  uncordon(argument: _sluice_v1_UncordonRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_UncordonResponse__Output>): grpc.ClientUnaryCall;
  uncordon(argument: _sluice_v1_UncordonRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_sluice_v1_UncordonResponse__Output>): grpc.ClientUnaryCall;
  uncordon(argument: _sluice_v1_UncordonRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_UncordonResponse__Output>): grpc.ClientUnaryCall;
  uncordon(argument: _sluice_v1_UncordonRequest, callback: grpc.requestCallback<_sluice_v1_UncordonResponse__Output>): grpc.ClientUnaryCall;
  
  /**
   * Gives a reservation up. Leases in it run on, and requests that wait for it get RESERVATION_NOT_FOUND.
   */
  Unreserve(argument: _sluice_v1_UnreserveRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_UnreserveResponse__Output>): grpc.ClientUnaryCall;
  Unreserve(argument: _sluice_v1_UnreserveRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_sluice_v1_UnreserveResponse__Output>): grpc.ClientUnaryCall;
  Unreserve(argument: _sluice_v1_UnreserveRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_UnreserveResponse__Output>): grpc.ClientUnaryCall;
  Unreserve(argument: _sluice_v1_UnreserveRequest, callback: grpc.requestCallback<_sluice_v1_UnreserveResponse__Output>): grpc.ClientUnaryCall;
  /**
   * Gives a reservation up. Leases in it run on, and requests that wait for it get RESERVATION_NOT_FOUND.
   */
  unreserve(argument: _sluice_v1_UnreserveRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_UnreserveResponse__Output>): grpc.ClientUnaryCall;
  unreserve(argument: _sluice_v1_UnreserveRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_sluice_v1_UnreserveResponse__Output>): grpc.ClientUnaryCall;
  unreserve(argument: _sluice_v1_UnreserveRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_UnreserveResponse__Output>): grpc.ClientUnaryCall;
  unreserve(argument: _sluice_v1_UnreserveRequest, callback: grpc.requestCallback<_sluice_v1_UnreserveResponse__Output>): grpc.ClientUnaryCall;
  
}

/**
 * The admin's calls.
 */
export interface AdminServiceHandlers extends grpc.UntypedServiceImplementation {
  /**
   * Takes a request out of the queue: whoever waits for it gets CANCELLED.
   */
  CancelQueued: grpc.handleUnaryCall<_sluice_v1_CancelQueuedRequest__Output, _sluice_v1_CancelQueuedResponse>;
  
  /**
   * Places nothing new on a device. What runs there runs on. Outlives a restart. Cordoning again changes the message.
   */
  Cordon: grpc.handleUnaryCall<_sluice_v1_CordonRequest__Output, _sluice_v1_CordonResponse>;
  
  /**
   * Makes a token, which the answer shows once. The first one of a server is an admin's, and from then on the server asks everybody for
   * one.
   */
  CreateToken: grpc.handleUnaryCall<_sluice_v1_CreateTokenRequest__Output, _sluice_v1_CreateTokenResponse>;
  
  /**
   * Empties a device: cordons it, and takes back every lease that has a slice of it, after a notice and a grace. The stream tells
   * which leases are left, at once and whenever that changes, and ends when none is. Ending the call stops only the telling.
   * Uncordoning the device ends the drain: the stream then fails with CANCELLED.
   */
  Drain: grpc.handleServerStreamingCall<_sluice_v1_DrainRequest__Output, _sluice_v1_DrainResponse>;
  
  /**
   * Moves the end of a lease later: of its maximum duration, or of the grace after a notice. Its holder is told.
   */
  Extend: grpc.handleUnaryCall<_sluice_v1_ExtendRequest__Output, _sluice_v1_ExtendResponse>;
  
  /**
   * The audit log, the newest first: what admins have done, and who was refused.
   */
  ListEvents: grpc.handleUnaryCall<_sluice_v1_ListEventsRequest__Output, _sluice_v1_ListEventsResponse>;
  
  /**
   * All tenants that the pool has heard of, with what they may have and what they have.
   */
  ListQuotas: grpc.handleUnaryCall<_sluice_v1_ListQuotasRequest__Output, _sluice_v1_ListQuotasResponse>;
  
  /**
   * All reservations, in the order in which they were made.
   */
  ListReservations: grpc.handleUnaryCall<_sluice_v1_ListReservationsRequest__Output, _sluice_v1_ListReservationsResponse>;
  
  /**
   * All tokens, those that have ended included, the oldest first. It shows none of them.
   */
  ListTokens: grpc.handleUnaryCall<_sluice_v1_ListTokensRequest__Output, _sluice_v1_ListTokensResponse>;
  
  /**
   * Use by tenant in a span of time, from the ledger, the largest user first.
   */
  ListUsage: grpc.handleUnaryCall<_sluice_v1_ListUsageRequest__Output, _sluice_v1_ListUsageResponse>;
  
  /**
   * Holds fixed slices of devices for a tenant, now or not at all, whether or not leases use them. The tenant's requests for fixed
   * slices are served inside where they can be. Outlives a restart.
   */
  Reserve: grpc.handleUnaryCall<_sluice_v1_ReserveRequest__Output, _sluice_v1_ReserveResponse>;
  
  /**
   * Takes a lease back: its holder gets a notice at once, and the lease ends after the grace.
   */
  Revoke: grpc.handleUnaryCall<_sluice_v1_RevokeRequest__Output, _sluice_v1_RevokeResponse>;
  
  /**
   * Makes a token worthless at once: streams, `Submit` and logins that it opened end with UNAUTHENTICATED, and the leases that it asked for
   * with LEASE_REVOKED, data connections and all. Leases of the tenant's other tokens live on.
   */
  RevokeToken: grpc.handleUnaryCall<_sluice_v1_RevokeTokenRequest__Output, _sluice_v1_RevokeTokenResponse>;
  
  /**
   * Changes the priority of a request that waits; its place in the queue changes at once. A quota's bound of priorities does not
   * bind the admin.
   */
  SetPriority: grpc.handleUnaryCall<_sluice_v1_SetPriorityRequest__Output, _sluice_v1_SetPriorityResponse>;
  
  /**
   * Sets what a tenant may have, as a whole: bounds that are not set are lifted. Takes effect at once, outlives a restart,
   * and takes nothing away from anybody.
   */
  SetQuota: grpc.handleUnaryCall<_sluice_v1_SetQuotaRequest__Output, _sluice_v1_SetQuotaResponse>;
  
  /**
   * Opens a device again. Uncordoning one that is open succeeds. A device that was closed because it fails its health check
   * (DEVICE_UNHEALTHY) stays closed until this is called, however well it reports to be later: what it has reported counts no
   * more, and if it is still ill, the next check closes it again.
   */
  Uncordon: grpc.handleUnaryCall<_sluice_v1_UncordonRequest__Output, _sluice_v1_UncordonResponse>;
  
  /**
   * Gives a reservation up. Leases in it run on, and requests that wait for it get RESERVATION_NOT_FOUND.
   */
  Unreserve: grpc.handleUnaryCall<_sluice_v1_UnreserveRequest__Output, _sluice_v1_UnreserveResponse>;
  
}

export interface AdminServiceDefinition extends grpc.ServiceDefinition {
  CancelQueued: MethodDefinition<_sluice_v1_CancelQueuedRequest, _sluice_v1_CancelQueuedResponse, _sluice_v1_CancelQueuedRequest__Output, _sluice_v1_CancelQueuedResponse__Output>
  Cordon: MethodDefinition<_sluice_v1_CordonRequest, _sluice_v1_CordonResponse, _sluice_v1_CordonRequest__Output, _sluice_v1_CordonResponse__Output>
  CreateToken: MethodDefinition<_sluice_v1_CreateTokenRequest, _sluice_v1_CreateTokenResponse, _sluice_v1_CreateTokenRequest__Output, _sluice_v1_CreateTokenResponse__Output>
  Drain: MethodDefinition<_sluice_v1_DrainRequest, _sluice_v1_DrainResponse, _sluice_v1_DrainRequest__Output, _sluice_v1_DrainResponse__Output>
  Extend: MethodDefinition<_sluice_v1_ExtendRequest, _sluice_v1_ExtendResponse, _sluice_v1_ExtendRequest__Output, _sluice_v1_ExtendResponse__Output>
  ListEvents: MethodDefinition<_sluice_v1_ListEventsRequest, _sluice_v1_ListEventsResponse, _sluice_v1_ListEventsRequest__Output, _sluice_v1_ListEventsResponse__Output>
  ListQuotas: MethodDefinition<_sluice_v1_ListQuotasRequest, _sluice_v1_ListQuotasResponse, _sluice_v1_ListQuotasRequest__Output, _sluice_v1_ListQuotasResponse__Output>
  ListReservations: MethodDefinition<_sluice_v1_ListReservationsRequest, _sluice_v1_ListReservationsResponse, _sluice_v1_ListReservationsRequest__Output, _sluice_v1_ListReservationsResponse__Output>
  ListTokens: MethodDefinition<_sluice_v1_ListTokensRequest, _sluice_v1_ListTokensResponse, _sluice_v1_ListTokensRequest__Output, _sluice_v1_ListTokensResponse__Output>
  ListUsage: MethodDefinition<_sluice_v1_ListUsageRequest, _sluice_v1_ListUsageResponse, _sluice_v1_ListUsageRequest__Output, _sluice_v1_ListUsageResponse__Output>
  Reserve: MethodDefinition<_sluice_v1_ReserveRequest, _sluice_v1_ReserveResponse, _sluice_v1_ReserveRequest__Output, _sluice_v1_ReserveResponse__Output>
  Revoke: MethodDefinition<_sluice_v1_RevokeRequest, _sluice_v1_RevokeResponse, _sluice_v1_RevokeRequest__Output, _sluice_v1_RevokeResponse__Output>
  RevokeToken: MethodDefinition<_sluice_v1_RevokeTokenRequest, _sluice_v1_RevokeTokenResponse, _sluice_v1_RevokeTokenRequest__Output, _sluice_v1_RevokeTokenResponse__Output>
  SetPriority: MethodDefinition<_sluice_v1_SetPriorityRequest, _sluice_v1_SetPriorityResponse, _sluice_v1_SetPriorityRequest__Output, _sluice_v1_SetPriorityResponse__Output>
  SetQuota: MethodDefinition<_sluice_v1_SetQuotaRequest, _sluice_v1_SetQuotaResponse, _sluice_v1_SetQuotaRequest__Output, _sluice_v1_SetQuotaResponse__Output>
  Uncordon: MethodDefinition<_sluice_v1_UncordonRequest, _sluice_v1_UncordonResponse, _sluice_v1_UncordonRequest__Output, _sluice_v1_UncordonResponse__Output>
  Unreserve: MethodDefinition<_sluice_v1_UnreserveRequest, _sluice_v1_UnreserveResponse, _sluice_v1_UnreserveRequest__Output, _sluice_v1_UnreserveResponse__Output>
}
