import type * as grpc from '@grpc/grpc-js';
import type { EnumTypeDefinition, MessageTypeDefinition } from '@grpc/proto-loader';

import type { AdminServiceClient as _sluice_v1_AdminServiceClient, AdminServiceDefinition as _sluice_v1_AdminServiceDefinition } from './sluice/v1/AdminService.ts';
import type { AllocateRequest as _sluice_v1_AllocateRequest, AllocateRequest__Output as _sluice_v1_AllocateRequest__Output } from './sluice/v1/AllocateRequest.ts';
import type { AllocateResponse as _sluice_v1_AllocateResponse, AllocateResponse__Output as _sluice_v1_AllocateResponse__Output } from './sluice/v1/AllocateResponse.ts';
import type { Beat as _sluice_v1_Beat, Beat__Output as _sluice_v1_Beat__Output } from './sluice/v1/Beat.ts';
import type { CancelQueuedRequest as _sluice_v1_CancelQueuedRequest, CancelQueuedRequest__Output as _sluice_v1_CancelQueuedRequest__Output } from './sluice/v1/CancelQueuedRequest.ts';
import type { CancelQueuedResponse as _sluice_v1_CancelQueuedResponse, CancelQueuedResponse__Output as _sluice_v1_CancelQueuedResponse__Output } from './sluice/v1/CancelQueuedResponse.ts';
import type { Connection as _sluice_v1_Connection, Connection__Output as _sluice_v1_Connection__Output } from './sluice/v1/Connection.ts';
import type { CordonRequest as _sluice_v1_CordonRequest, CordonRequest__Output as _sluice_v1_CordonRequest__Output } from './sluice/v1/CordonRequest.ts';
import type { CordonResponse as _sluice_v1_CordonResponse, CordonResponse__Output as _sluice_v1_CordonResponse__Output } from './sluice/v1/CordonResponse.ts';
import type { CreateTokenRequest as _sluice_v1_CreateTokenRequest, CreateTokenRequest__Output as _sluice_v1_CreateTokenRequest__Output } from './sluice/v1/CreateTokenRequest.ts';
import type { CreateTokenResponse as _sluice_v1_CreateTokenResponse, CreateTokenResponse__Output as _sluice_v1_CreateTokenResponse__Output } from './sluice/v1/CreateTokenResponse.ts';
import type { Device as _sluice_v1_Device, Device__Output as _sluice_v1_Device__Output } from './sluice/v1/Device.ts';
import type { DeviceHardware as _sluice_v1_DeviceHardware, DeviceHardware__Output as _sluice_v1_DeviceHardware__Output } from './sluice/v1/DeviceHardware.ts';
import type { DeviceHealth as _sluice_v1_DeviceHealth, DeviceHealth__Output as _sluice_v1_DeviceHealth__Output } from './sluice/v1/DeviceHealth.ts';
import type { DeviceLink as _sluice_v1_DeviceLink, DeviceLink__Output as _sluice_v1_DeviceLink__Output } from './sluice/v1/DeviceLink.ts';
import type { DrainRequest as _sluice_v1_DrainRequest, DrainRequest__Output as _sluice_v1_DrainRequest__Output } from './sluice/v1/DrainRequest.ts';
import type { DrainResponse as _sluice_v1_DrainResponse, DrainResponse__Output as _sluice_v1_DrainResponse__Output } from './sluice/v1/DrainResponse.ts';
import type { ErrorDetail as _sluice_v1_ErrorDetail, ErrorDetail__Output as _sluice_v1_ErrorDetail__Output } from './sluice/v1/ErrorDetail.ts';
import type { Event as _sluice_v1_Event, Event__Output as _sluice_v1_Event__Output } from './sluice/v1/Event.ts';
import type { ExplainRequest as _sluice_v1_ExplainRequest, ExplainRequest__Output as _sluice_v1_ExplainRequest__Output } from './sluice/v1/ExplainRequest.ts';
import type { ExplainResponse as _sluice_v1_ExplainResponse, ExplainResponse__Output as _sluice_v1_ExplainResponse__Output } from './sluice/v1/ExplainResponse.ts';
import type { ExplainedGrant as _sluice_v1_ExplainedGrant, ExplainedGrant__Output as _sluice_v1_ExplainedGrant__Output } from './sluice/v1/ExplainedGrant.ts';
import type { ExplainedWait as _sluice_v1_ExplainedWait, ExplainedWait__Output as _sluice_v1_ExplainedWait__Output } from './sluice/v1/ExplainedWait.ts';
import type { ExtendRequest as _sluice_v1_ExtendRequest, ExtendRequest__Output as _sluice_v1_ExtendRequest__Output } from './sluice/v1/ExtendRequest.ts';
import type { ExtendResponse as _sluice_v1_ExtendResponse, ExtendResponse__Output as _sluice_v1_ExtendResponse__Output } from './sluice/v1/ExtendResponse.ts';
import type { GetHistoryRequest as _sluice_v1_GetHistoryRequest, GetHistoryRequest__Output as _sluice_v1_GetHistoryRequest__Output } from './sluice/v1/GetHistoryRequest.ts';
import type { GetHistoryResponse as _sluice_v1_GetHistoryResponse, GetHistoryResponse__Output as _sluice_v1_GetHistoryResponse__Output } from './sluice/v1/GetHistoryResponse.ts';
import type { GetLeaseHistoryRequest as _sluice_v1_GetLeaseHistoryRequest, GetLeaseHistoryRequest__Output as _sluice_v1_GetLeaseHistoryRequest__Output } from './sluice/v1/GetLeaseHistoryRequest.ts';
import type { GetLeaseHistoryResponse as _sluice_v1_GetLeaseHistoryResponse, GetLeaseHistoryResponse__Output as _sluice_v1_GetLeaseHistoryResponse__Output } from './sluice/v1/GetLeaseHistoryResponse.ts';
import type { GetLeaseRequest as _sluice_v1_GetLeaseRequest, GetLeaseRequest__Output as _sluice_v1_GetLeaseRequest__Output } from './sluice/v1/GetLeaseRequest.ts';
import type { GetLeaseResponse as _sluice_v1_GetLeaseResponse, GetLeaseResponse__Output as _sluice_v1_GetLeaseResponse__Output } from './sluice/v1/GetLeaseResponse.ts';
import type { Granted as _sluice_v1_Granted, Granted__Output as _sluice_v1_Granted__Output } from './sluice/v1/Granted.ts';
import type { GrantedLease as _sluice_v1_GrantedLease, GrantedLease__Output as _sluice_v1_GrantedLease__Output } from './sluice/v1/GrantedLease.ts';
import type { HistorySeries as _sluice_v1_HistorySeries, HistorySeries__Output as _sluice_v1_HistorySeries__Output } from './sluice/v1/HistorySeries.ts';
import type { HoldRequest as _sluice_v1_HoldRequest, HoldRequest__Output as _sluice_v1_HoldRequest__Output } from './sluice/v1/HoldRequest.ts';
import type { HoldResponse as _sluice_v1_HoldResponse, HoldResponse__Output as _sluice_v1_HoldResponse__Output } from './sluice/v1/HoldResponse.ts';
import type { Lease as _sluice_v1_Lease, Lease__Output as _sluice_v1_Lease__Output } from './sluice/v1/Lease.ts';
import type { LeaseActivity as _sluice_v1_LeaseActivity, LeaseActivity__Output as _sluice_v1_LeaseActivity__Output } from './sluice/v1/LeaseActivity.ts';
import type { LeaseMoment as _sluice_v1_LeaseMoment, LeaseMoment__Output as _sluice_v1_LeaseMoment__Output } from './sluice/v1/LeaseMoment.ts';
import type { ListDevicesRequest as _sluice_v1_ListDevicesRequest, ListDevicesRequest__Output as _sluice_v1_ListDevicesRequest__Output } from './sluice/v1/ListDevicesRequest.ts';
import type { ListDevicesResponse as _sluice_v1_ListDevicesResponse, ListDevicesResponse__Output as _sluice_v1_ListDevicesResponse__Output } from './sluice/v1/ListDevicesResponse.ts';
import type { ListEventsRequest as _sluice_v1_ListEventsRequest, ListEventsRequest__Output as _sluice_v1_ListEventsRequest__Output } from './sluice/v1/ListEventsRequest.ts';
import type { ListEventsResponse as _sluice_v1_ListEventsResponse, ListEventsResponse__Output as _sluice_v1_ListEventsResponse__Output } from './sluice/v1/ListEventsResponse.ts';
import type { ListLeasesRequest as _sluice_v1_ListLeasesRequest, ListLeasesRequest__Output as _sluice_v1_ListLeasesRequest__Output } from './sluice/v1/ListLeasesRequest.ts';
import type { ListLeasesResponse as _sluice_v1_ListLeasesResponse, ListLeasesResponse__Output as _sluice_v1_ListLeasesResponse__Output } from './sluice/v1/ListLeasesResponse.ts';
import type { ListQuotasRequest as _sluice_v1_ListQuotasRequest, ListQuotasRequest__Output as _sluice_v1_ListQuotasRequest__Output } from './sluice/v1/ListQuotasRequest.ts';
import type { ListQuotasResponse as _sluice_v1_ListQuotasResponse, ListQuotasResponse__Output as _sluice_v1_ListQuotasResponse__Output } from './sluice/v1/ListQuotasResponse.ts';
import type { ListReservationsRequest as _sluice_v1_ListReservationsRequest, ListReservationsRequest__Output as _sluice_v1_ListReservationsRequest__Output } from './sluice/v1/ListReservationsRequest.ts';
import type { ListReservationsResponse as _sluice_v1_ListReservationsResponse, ListReservationsResponse__Output as _sluice_v1_ListReservationsResponse__Output } from './sluice/v1/ListReservationsResponse.ts';
import type { ListTokensRequest as _sluice_v1_ListTokensRequest, ListTokensRequest__Output as _sluice_v1_ListTokensRequest__Output } from './sluice/v1/ListTokensRequest.ts';
import type { ListTokensResponse as _sluice_v1_ListTokensResponse, ListTokensResponse__Output as _sluice_v1_ListTokensResponse__Output } from './sluice/v1/ListTokensResponse.ts';
import type { ListUsageRequest as _sluice_v1_ListUsageRequest, ListUsageRequest__Output as _sluice_v1_ListUsageRequest__Output } from './sluice/v1/ListUsageRequest.ts';
import type { ListUsageResponse as _sluice_v1_ListUsageResponse, ListUsageResponse__Output as _sluice_v1_ListUsageResponse__Output } from './sluice/v1/ListUsageResponse.ts';
import type { Notice as _sluice_v1_Notice, Notice__Output as _sluice_v1_Notice__Output } from './sluice/v1/Notice.ts';
import type { PoolServiceClient as _sluice_v1_PoolServiceClient, PoolServiceDefinition as _sluice_v1_PoolServiceDefinition } from './sluice/v1/PoolService.ts';
import type { QueueEntry as _sluice_v1_QueueEntry, QueueEntry__Output as _sluice_v1_QueueEntry__Output } from './sluice/v1/QueueEntry.ts';
import type { Queued as _sluice_v1_Queued, Queued__Output as _sluice_v1_Queued__Output } from './sluice/v1/Queued.ts';
import type { Quota as _sluice_v1_Quota, Quota__Output as _sluice_v1_Quota__Output } from './sluice/v1/Quota.ts';
import type { Reason as _sluice_v1_Reason, Reason__Output as _sluice_v1_Reason__Output } from './sluice/v1/Reason.ts';
import type { ReleaseRequest as _sluice_v1_ReleaseRequest, ReleaseRequest__Output as _sluice_v1_ReleaseRequest__Output } from './sluice/v1/ReleaseRequest.ts';
import type { ReleaseResponse as _sluice_v1_ReleaseResponse, ReleaseResponse__Output as _sluice_v1_ReleaseResponse__Output } from './sluice/v1/ReleaseResponse.ts';
import type { Reservation as _sluice_v1_Reservation, Reservation__Output as _sluice_v1_Reservation__Output } from './sluice/v1/Reservation.ts';
import type { ReserveRequest as _sluice_v1_ReserveRequest, ReserveRequest__Output as _sluice_v1_ReserveRequest__Output } from './sluice/v1/ReserveRequest.ts';
import type { ReserveResponse as _sluice_v1_ReserveResponse, ReserveResponse__Output as _sluice_v1_ReserveResponse__Output } from './sluice/v1/ReserveResponse.ts';
import type { ReservedSlice as _sluice_v1_ReservedSlice, ReservedSlice__Output as _sluice_v1_ReservedSlice__Output } from './sluice/v1/ReservedSlice.ts';
import type { ResizeRequest as _sluice_v1_ResizeRequest, ResizeRequest__Output as _sluice_v1_ResizeRequest__Output } from './sluice/v1/ResizeRequest.ts';
import type { ResizeResponse as _sluice_v1_ResizeResponse, ResizeResponse__Output as _sluice_v1_ResizeResponse__Output } from './sluice/v1/ResizeResponse.ts';
import type { Resized as _sluice_v1_Resized, Resized__Output as _sluice_v1_Resized__Output } from './sluice/v1/Resized.ts';
import type { ResumeRequest as _sluice_v1_ResumeRequest, ResumeRequest__Output as _sluice_v1_ResumeRequest__Output } from './sluice/v1/ResumeRequest.ts';
import type { ResumeResponse as _sluice_v1_ResumeResponse, ResumeResponse__Output as _sluice_v1_ResumeResponse__Output } from './sluice/v1/ResumeResponse.ts';
import type { RevokeRequest as _sluice_v1_RevokeRequest, RevokeRequest__Output as _sluice_v1_RevokeRequest__Output } from './sluice/v1/RevokeRequest.ts';
import type { RevokeResponse as _sluice_v1_RevokeResponse, RevokeResponse__Output as _sluice_v1_RevokeResponse__Output } from './sluice/v1/RevokeResponse.ts';
import type { RevokeTokenRequest as _sluice_v1_RevokeTokenRequest, RevokeTokenRequest__Output as _sluice_v1_RevokeTokenRequest__Output } from './sluice/v1/RevokeTokenRequest.ts';
import type { RevokeTokenResponse as _sluice_v1_RevokeTokenResponse, RevokeTokenResponse__Output as _sluice_v1_RevokeTokenResponse__Output } from './sluice/v1/RevokeTokenResponse.ts';
import type { SetPriorityRequest as _sluice_v1_SetPriorityRequest, SetPriorityRequest__Output as _sluice_v1_SetPriorityRequest__Output } from './sluice/v1/SetPriorityRequest.ts';
import type { SetPriorityResponse as _sluice_v1_SetPriorityResponse, SetPriorityResponse__Output as _sluice_v1_SetPriorityResponse__Output } from './sluice/v1/SetPriorityResponse.ts';
import type { SetQuotaRequest as _sluice_v1_SetQuotaRequest, SetQuotaRequest__Output as _sluice_v1_SetQuotaRequest__Output } from './sluice/v1/SetQuotaRequest.ts';
import type { SetQuotaResponse as _sluice_v1_SetQuotaResponse, SetQuotaResponse__Output as _sluice_v1_SetQuotaResponse__Output } from './sluice/v1/SetQuotaResponse.ts';
import type { Slice as _sluice_v1_Slice, Slice__Output as _sluice_v1_Slice__Output } from './sluice/v1/Slice.ts';
import type { SubmitRequest as _sluice_v1_SubmitRequest, SubmitRequest__Output as _sluice_v1_SubmitRequest__Output } from './sluice/v1/SubmitRequest.ts';
import type { SubmitResponse as _sluice_v1_SubmitResponse, SubmitResponse__Output as _sluice_v1_SubmitResponse__Output } from './sluice/v1/SubmitResponse.ts';
import type { SuspendRequest as _sluice_v1_SuspendRequest, SuspendRequest__Output as _sluice_v1_SuspendRequest__Output } from './sluice/v1/SuspendRequest.ts';
import type { SuspendResponse as _sluice_v1_SuspendResponse, SuspendResponse__Output as _sluice_v1_SuspendResponse__Output } from './sluice/v1/SuspendResponse.ts';
import type { Suspension as _sluice_v1_Suspension, Suspension__Output as _sluice_v1_Suspension__Output } from './sluice/v1/Suspension.ts';
import type { Tenant as _sluice_v1_Tenant, Tenant__Output as _sluice_v1_Tenant__Output } from './sluice/v1/Tenant.ts';
import type { TenantUsage as _sluice_v1_TenantUsage, TenantUsage__Output as _sluice_v1_TenantUsage__Output } from './sluice/v1/TenantUsage.ts';
import type { Token as _sluice_v1_Token, Token__Output as _sluice_v1_Token__Output } from './sluice/v1/Token.ts';
import type { UncordonRequest as _sluice_v1_UncordonRequest, UncordonRequest__Output as _sluice_v1_UncordonRequest__Output } from './sluice/v1/UncordonRequest.ts';
import type { UncordonResponse as _sluice_v1_UncordonResponse, UncordonResponse__Output as _sluice_v1_UncordonResponse__Output } from './sluice/v1/UncordonResponse.ts';
import type { UnreserveRequest as _sluice_v1_UnreserveRequest, UnreserveRequest__Output as _sluice_v1_UnreserveRequest__Output } from './sluice/v1/UnreserveRequest.ts';
import type { UnreserveResponse as _sluice_v1_UnreserveResponse, UnreserveResponse__Output as _sluice_v1_UnreserveResponse__Output } from './sluice/v1/UnreserveResponse.ts';
import type { Usage as _sluice_v1_Usage, Usage__Output as _sluice_v1_Usage__Output } from './sluice/v1/Usage.ts';
import type { WatchPoolRequest as _sluice_v1_WatchPoolRequest, WatchPoolRequest__Output as _sluice_v1_WatchPoolRequest__Output } from './sluice/v1/WatchPoolRequest.ts';
import type { WatchPoolResponse as _sluice_v1_WatchPoolResponse, WatchPoolResponse__Output as _sluice_v1_WatchPoolResponse__Output } from './sluice/v1/WatchPoolResponse.ts';

type SubtypeConstructor<Constructor extends new (...args: any) => any, Subtype> = {
  new(...args: ConstructorParameters<Constructor>): Subtype;
};

export interface ProtoGrpcType {
  sluice: {
    v1: {
      /**
       * The admin's calls.
       */
      AdminService: SubtypeConstructor<typeof grpc.Client, _sluice_v1_AdminServiceClient> & { service: _sluice_v1_AdminServiceDefinition }
      AllocateRequest: MessageTypeDefinition<_sluice_v1_AllocateRequest, _sluice_v1_AllocateRequest__Output>
      AllocateResponse: MessageTypeDefinition<_sluice_v1_AllocateResponse, _sluice_v1_AllocateResponse__Output>
      Beat: MessageTypeDefinition<_sluice_v1_Beat, _sluice_v1_Beat__Output>
      CancelQueuedRequest: MessageTypeDefinition<_sluice_v1_CancelQueuedRequest, _sluice_v1_CancelQueuedRequest__Output>
      CancelQueuedResponse: MessageTypeDefinition<_sluice_v1_CancelQueuedResponse, _sluice_v1_CancelQueuedResponse__Output>
      Connection: MessageTypeDefinition<_sluice_v1_Connection, _sluice_v1_Connection__Output>
      CordonRequest: MessageTypeDefinition<_sluice_v1_CordonRequest, _sluice_v1_CordonRequest__Output>
      CordonResponse: MessageTypeDefinition<_sluice_v1_CordonResponse, _sluice_v1_CordonResponse__Output>
      CreateTokenRequest: MessageTypeDefinition<_sluice_v1_CreateTokenRequest, _sluice_v1_CreateTokenRequest__Output>
      CreateTokenResponse: MessageTypeDefinition<_sluice_v1_CreateTokenResponse, _sluice_v1_CreateTokenResponse__Output>
      Device: MessageTypeDefinition<_sluice_v1_Device, _sluice_v1_Device__Output>
      DeviceHardware: MessageTypeDefinition<_sluice_v1_DeviceHardware, _sluice_v1_DeviceHardware__Output>
      DeviceHealth: MessageTypeDefinition<_sluice_v1_DeviceHealth, _sluice_v1_DeviceHealth__Output>
      DeviceLink: MessageTypeDefinition<_sluice_v1_DeviceLink, _sluice_v1_DeviceLink__Output>
      DrainRequest: MessageTypeDefinition<_sluice_v1_DrainRequest, _sluice_v1_DrainRequest__Output>
      DrainResponse: MessageTypeDefinition<_sluice_v1_DrainResponse, _sluice_v1_DrainResponse__Output>
      ErrorDetail: MessageTypeDefinition<_sluice_v1_ErrorDetail, _sluice_v1_ErrorDetail__Output>
      Event: MessageTypeDefinition<_sluice_v1_Event, _sluice_v1_Event__Output>
      ExplainRequest: MessageTypeDefinition<_sluice_v1_ExplainRequest, _sluice_v1_ExplainRequest__Output>
      ExplainResponse: MessageTypeDefinition<_sluice_v1_ExplainResponse, _sluice_v1_ExplainResponse__Output>
      ExplainedGrant: MessageTypeDefinition<_sluice_v1_ExplainedGrant, _sluice_v1_ExplainedGrant__Output>
      ExplainedWait: MessageTypeDefinition<_sluice_v1_ExplainedWait, _sluice_v1_ExplainedWait__Output>
      ExtendRequest: MessageTypeDefinition<_sluice_v1_ExtendRequest, _sluice_v1_ExtendRequest__Output>
      ExtendResponse: MessageTypeDefinition<_sluice_v1_ExtendResponse, _sluice_v1_ExtendResponse__Output>
      GetHistoryRequest: MessageTypeDefinition<_sluice_v1_GetHistoryRequest, _sluice_v1_GetHistoryRequest__Output>
      GetHistoryResponse: MessageTypeDefinition<_sluice_v1_GetHistoryResponse, _sluice_v1_GetHistoryResponse__Output>
      GetLeaseHistoryRequest: MessageTypeDefinition<_sluice_v1_GetLeaseHistoryRequest, _sluice_v1_GetLeaseHistoryRequest__Output>
      GetLeaseHistoryResponse: MessageTypeDefinition<_sluice_v1_GetLeaseHistoryResponse, _sluice_v1_GetLeaseHistoryResponse__Output>
      GetLeaseRequest: MessageTypeDefinition<_sluice_v1_GetLeaseRequest, _sluice_v1_GetLeaseRequest__Output>
      GetLeaseResponse: MessageTypeDefinition<_sluice_v1_GetLeaseResponse, _sluice_v1_GetLeaseResponse__Output>
      Granted: MessageTypeDefinition<_sluice_v1_Granted, _sluice_v1_Granted__Output>
      GrantedLease: MessageTypeDefinition<_sluice_v1_GrantedLease, _sluice_v1_GrantedLease__Output>
      HistorySeries: MessageTypeDefinition<_sluice_v1_HistorySeries, _sluice_v1_HistorySeries__Output>
      HistorySpan: EnumTypeDefinition
      HoldRequest: MessageTypeDefinition<_sluice_v1_HoldRequest, _sluice_v1_HoldRequest__Output>
      HoldResponse: MessageTypeDefinition<_sluice_v1_HoldResponse, _sluice_v1_HoldResponse__Output>
      Lease: MessageTypeDefinition<_sluice_v1_Lease, _sluice_v1_Lease__Output>
      LeaseActivity: MessageTypeDefinition<_sluice_v1_LeaseActivity, _sluice_v1_LeaseActivity__Output>
      LeaseMoment: MessageTypeDefinition<_sluice_v1_LeaseMoment, _sluice_v1_LeaseMoment__Output>
      LeaseState: EnumTypeDefinition
      ListDevicesRequest: MessageTypeDefinition<_sluice_v1_ListDevicesRequest, _sluice_v1_ListDevicesRequest__Output>
      ListDevicesResponse: MessageTypeDefinition<_sluice_v1_ListDevicesResponse, _sluice_v1_ListDevicesResponse__Output>
      ListEventsRequest: MessageTypeDefinition<_sluice_v1_ListEventsRequest, _sluice_v1_ListEventsRequest__Output>
      ListEventsResponse: MessageTypeDefinition<_sluice_v1_ListEventsResponse, _sluice_v1_ListEventsResponse__Output>
      ListLeasesRequest: MessageTypeDefinition<_sluice_v1_ListLeasesRequest, _sluice_v1_ListLeasesRequest__Output>
      ListLeasesResponse: MessageTypeDefinition<_sluice_v1_ListLeasesResponse, _sluice_v1_ListLeasesResponse__Output>
      ListQuotasRequest: MessageTypeDefinition<_sluice_v1_ListQuotasRequest, _sluice_v1_ListQuotasRequest__Output>
      ListQuotasResponse: MessageTypeDefinition<_sluice_v1_ListQuotasResponse, _sluice_v1_ListQuotasResponse__Output>
      ListReservationsRequest: MessageTypeDefinition<_sluice_v1_ListReservationsRequest, _sluice_v1_ListReservationsRequest__Output>
      ListReservationsResponse: MessageTypeDefinition<_sluice_v1_ListReservationsResponse, _sluice_v1_ListReservationsResponse__Output>
      ListTokensRequest: MessageTypeDefinition<_sluice_v1_ListTokensRequest, _sluice_v1_ListTokensRequest__Output>
      ListTokensResponse: MessageTypeDefinition<_sluice_v1_ListTokensResponse, _sluice_v1_ListTokensResponse__Output>
      ListUsageRequest: MessageTypeDefinition<_sluice_v1_ListUsageRequest, _sluice_v1_ListUsageRequest__Output>
      ListUsageResponse: MessageTypeDefinition<_sluice_v1_ListUsageResponse, _sluice_v1_ListUsageResponse__Output>
      Notice: MessageTypeDefinition<_sluice_v1_Notice, _sluice_v1_Notice__Output>
      NoticeKind: EnumTypeDefinition
      PlacementPolicy: EnumTypeDefinition
      /**
       * The pool of one server.
       */
      PoolService: SubtypeConstructor<typeof grpc.Client, _sluice_v1_PoolServiceClient> & { service: _sluice_v1_PoolServiceDefinition }
      QueueEntry: MessageTypeDefinition<_sluice_v1_QueueEntry, _sluice_v1_QueueEntry__Output>
      Queued: MessageTypeDefinition<_sluice_v1_Queued, _sluice_v1_Queued__Output>
      Quota: MessageTypeDefinition<_sluice_v1_Quota, _sluice_v1_Quota__Output>
      Reason: MessageTypeDefinition<_sluice_v1_Reason, _sluice_v1_Reason__Output>
      ReleaseRequest: MessageTypeDefinition<_sluice_v1_ReleaseRequest, _sluice_v1_ReleaseRequest__Output>
      ReleaseResponse: MessageTypeDefinition<_sluice_v1_ReleaseResponse, _sluice_v1_ReleaseResponse__Output>
      Reservation: MessageTypeDefinition<_sluice_v1_Reservation, _sluice_v1_Reservation__Output>
      ReserveRequest: MessageTypeDefinition<_sluice_v1_ReserveRequest, _sluice_v1_ReserveRequest__Output>
      ReserveResponse: MessageTypeDefinition<_sluice_v1_ReserveResponse, _sluice_v1_ReserveResponse__Output>
      ReservedSlice: MessageTypeDefinition<_sluice_v1_ReservedSlice, _sluice_v1_ReservedSlice__Output>
      ResizeRequest: MessageTypeDefinition<_sluice_v1_ResizeRequest, _sluice_v1_ResizeRequest__Output>
      ResizeResponse: MessageTypeDefinition<_sluice_v1_ResizeResponse, _sluice_v1_ResizeResponse__Output>
      Resized: MessageTypeDefinition<_sluice_v1_Resized, _sluice_v1_Resized__Output>
      ResumeRequest: MessageTypeDefinition<_sluice_v1_ResumeRequest, _sluice_v1_ResumeRequest__Output>
      ResumeResponse: MessageTypeDefinition<_sluice_v1_ResumeResponse, _sluice_v1_ResumeResponse__Output>
      RevokeRequest: MessageTypeDefinition<_sluice_v1_RevokeRequest, _sluice_v1_RevokeRequest__Output>
      RevokeResponse: MessageTypeDefinition<_sluice_v1_RevokeResponse, _sluice_v1_RevokeResponse__Output>
      RevokeTokenRequest: MessageTypeDefinition<_sluice_v1_RevokeTokenRequest, _sluice_v1_RevokeTokenRequest__Output>
      RevokeTokenResponse: MessageTypeDefinition<_sluice_v1_RevokeTokenResponse, _sluice_v1_RevokeTokenResponse__Output>
      Role: EnumTypeDefinition
      SetPriorityRequest: MessageTypeDefinition<_sluice_v1_SetPriorityRequest, _sluice_v1_SetPriorityRequest__Output>
      SetPriorityResponse: MessageTypeDefinition<_sluice_v1_SetPriorityResponse, _sluice_v1_SetPriorityResponse__Output>
      SetQuotaRequest: MessageTypeDefinition<_sluice_v1_SetQuotaRequest, _sluice_v1_SetQuotaRequest__Output>
      SetQuotaResponse: MessageTypeDefinition<_sluice_v1_SetQuotaResponse, _sluice_v1_SetQuotaResponse__Output>
      SharingMode: EnumTypeDefinition
      Slice: MessageTypeDefinition<_sluice_v1_Slice, _sluice_v1_Slice__Output>
      SubmitRequest: MessageTypeDefinition<_sluice_v1_SubmitRequest, _sluice_v1_SubmitRequest__Output>
      SubmitResponse: MessageTypeDefinition<_sluice_v1_SubmitResponse, _sluice_v1_SubmitResponse__Output>
      SuspendRequest: MessageTypeDefinition<_sluice_v1_SuspendRequest, _sluice_v1_SuspendRequest__Output>
      SuspendResponse: MessageTypeDefinition<_sluice_v1_SuspendResponse, _sluice_v1_SuspendResponse__Output>
      Suspension: MessageTypeDefinition<_sluice_v1_Suspension, _sluice_v1_Suspension__Output>
      Tenant: MessageTypeDefinition<_sluice_v1_Tenant, _sluice_v1_Tenant__Output>
      TenantUsage: MessageTypeDefinition<_sluice_v1_TenantUsage, _sluice_v1_TenantUsage__Output>
      Token: MessageTypeDefinition<_sluice_v1_Token, _sluice_v1_Token__Output>
      UncordonRequest: MessageTypeDefinition<_sluice_v1_UncordonRequest, _sluice_v1_UncordonRequest__Output>
      UncordonResponse: MessageTypeDefinition<_sluice_v1_UncordonResponse, _sluice_v1_UncordonResponse__Output>
      UnreserveRequest: MessageTypeDefinition<_sluice_v1_UnreserveRequest, _sluice_v1_UnreserveRequest__Output>
      UnreserveResponse: MessageTypeDefinition<_sluice_v1_UnreserveResponse, _sluice_v1_UnreserveResponse__Output>
      Usage: MessageTypeDefinition<_sluice_v1_Usage, _sluice_v1_Usage__Output>
      WatchPoolRequest: MessageTypeDefinition<_sluice_v1_WatchPoolRequest, _sluice_v1_WatchPoolRequest__Output>
      WatchPoolResponse: MessageTypeDefinition<_sluice_v1_WatchPoolResponse, _sluice_v1_WatchPoolResponse__Output>
    }
  }
}

