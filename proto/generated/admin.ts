import type * as grpc from '@grpc/grpc-js';
import type { MessageTypeDefinition } from '@grpc/proto-loader';

import type { AdminServiceClient as _sluice_v1_AdminServiceClient, AdminServiceDefinition as _sluice_v1_AdminServiceDefinition } from './sluice/v1/AdminService.ts';
import type { CancelQueuedRequest as _sluice_v1_CancelQueuedRequest, CancelQueuedRequest__Output as _sluice_v1_CancelQueuedRequest__Output } from './sluice/v1/CancelQueuedRequest.ts';
import type { CancelQueuedResponse as _sluice_v1_CancelQueuedResponse, CancelQueuedResponse__Output as _sluice_v1_CancelQueuedResponse__Output } from './sluice/v1/CancelQueuedResponse.ts';
import type { CordonRequest as _sluice_v1_CordonRequest, CordonRequest__Output as _sluice_v1_CordonRequest__Output } from './sluice/v1/CordonRequest.ts';
import type { CordonResponse as _sluice_v1_CordonResponse, CordonResponse__Output as _sluice_v1_CordonResponse__Output } from './sluice/v1/CordonResponse.ts';
import type { DrainRequest as _sluice_v1_DrainRequest, DrainRequest__Output as _sluice_v1_DrainRequest__Output } from './sluice/v1/DrainRequest.ts';
import type { DrainResponse as _sluice_v1_DrainResponse, DrainResponse__Output as _sluice_v1_DrainResponse__Output } from './sluice/v1/DrainResponse.ts';
import type { ExtendRequest as _sluice_v1_ExtendRequest, ExtendRequest__Output as _sluice_v1_ExtendRequest__Output } from './sluice/v1/ExtendRequest.ts';
import type { ExtendResponse as _sluice_v1_ExtendResponse, ExtendResponse__Output as _sluice_v1_ExtendResponse__Output } from './sluice/v1/ExtendResponse.ts';
import type { ListQuotasRequest as _sluice_v1_ListQuotasRequest, ListQuotasRequest__Output as _sluice_v1_ListQuotasRequest__Output } from './sluice/v1/ListQuotasRequest.ts';
import type { ListQuotasResponse as _sluice_v1_ListQuotasResponse, ListQuotasResponse__Output as _sluice_v1_ListQuotasResponse__Output } from './sluice/v1/ListQuotasResponse.ts';
import type { ListUsageRequest as _sluice_v1_ListUsageRequest, ListUsageRequest__Output as _sluice_v1_ListUsageRequest__Output } from './sluice/v1/ListUsageRequest.ts';
import type { ListUsageResponse as _sluice_v1_ListUsageResponse, ListUsageResponse__Output as _sluice_v1_ListUsageResponse__Output } from './sluice/v1/ListUsageResponse.ts';
import type { Quota as _sluice_v1_Quota, Quota__Output as _sluice_v1_Quota__Output } from './sluice/v1/Quota.ts';
import type { RevokeRequest as _sluice_v1_RevokeRequest, RevokeRequest__Output as _sluice_v1_RevokeRequest__Output } from './sluice/v1/RevokeRequest.ts';
import type { RevokeResponse as _sluice_v1_RevokeResponse, RevokeResponse__Output as _sluice_v1_RevokeResponse__Output } from './sluice/v1/RevokeResponse.ts';
import type { SetPriorityRequest as _sluice_v1_SetPriorityRequest, SetPriorityRequest__Output as _sluice_v1_SetPriorityRequest__Output } from './sluice/v1/SetPriorityRequest.ts';
import type { SetPriorityResponse as _sluice_v1_SetPriorityResponse, SetPriorityResponse__Output as _sluice_v1_SetPriorityResponse__Output } from './sluice/v1/SetPriorityResponse.ts';
import type { SetQuotaRequest as _sluice_v1_SetQuotaRequest, SetQuotaRequest__Output as _sluice_v1_SetQuotaRequest__Output } from './sluice/v1/SetQuotaRequest.ts';
import type { SetQuotaResponse as _sluice_v1_SetQuotaResponse, SetQuotaResponse__Output as _sluice_v1_SetQuotaResponse__Output } from './sluice/v1/SetQuotaResponse.ts';
import type { Tenant as _sluice_v1_Tenant, Tenant__Output as _sluice_v1_Tenant__Output } from './sluice/v1/Tenant.ts';
import type { TenantUsage as _sluice_v1_TenantUsage, TenantUsage__Output as _sluice_v1_TenantUsage__Output } from './sluice/v1/TenantUsage.ts';
import type { UncordonRequest as _sluice_v1_UncordonRequest, UncordonRequest__Output as _sluice_v1_UncordonRequest__Output } from './sluice/v1/UncordonRequest.ts';
import type { UncordonResponse as _sluice_v1_UncordonResponse, UncordonResponse__Output as _sluice_v1_UncordonResponse__Output } from './sluice/v1/UncordonResponse.ts';

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
      CancelQueuedRequest: MessageTypeDefinition<_sluice_v1_CancelQueuedRequest, _sluice_v1_CancelQueuedRequest__Output>
      CancelQueuedResponse: MessageTypeDefinition<_sluice_v1_CancelQueuedResponse, _sluice_v1_CancelQueuedResponse__Output>
      CordonRequest: MessageTypeDefinition<_sluice_v1_CordonRequest, _sluice_v1_CordonRequest__Output>
      CordonResponse: MessageTypeDefinition<_sluice_v1_CordonResponse, _sluice_v1_CordonResponse__Output>
      DrainRequest: MessageTypeDefinition<_sluice_v1_DrainRequest, _sluice_v1_DrainRequest__Output>
      DrainResponse: MessageTypeDefinition<_sluice_v1_DrainResponse, _sluice_v1_DrainResponse__Output>
      ExtendRequest: MessageTypeDefinition<_sluice_v1_ExtendRequest, _sluice_v1_ExtendRequest__Output>
      ExtendResponse: MessageTypeDefinition<_sluice_v1_ExtendResponse, _sluice_v1_ExtendResponse__Output>
      ListQuotasRequest: MessageTypeDefinition<_sluice_v1_ListQuotasRequest, _sluice_v1_ListQuotasRequest__Output>
      ListQuotasResponse: MessageTypeDefinition<_sluice_v1_ListQuotasResponse, _sluice_v1_ListQuotasResponse__Output>
      ListUsageRequest: MessageTypeDefinition<_sluice_v1_ListUsageRequest, _sluice_v1_ListUsageRequest__Output>
      ListUsageResponse: MessageTypeDefinition<_sluice_v1_ListUsageResponse, _sluice_v1_ListUsageResponse__Output>
      Quota: MessageTypeDefinition<_sluice_v1_Quota, _sluice_v1_Quota__Output>
      RevokeRequest: MessageTypeDefinition<_sluice_v1_RevokeRequest, _sluice_v1_RevokeRequest__Output>
      RevokeResponse: MessageTypeDefinition<_sluice_v1_RevokeResponse, _sluice_v1_RevokeResponse__Output>
      SetPriorityRequest: MessageTypeDefinition<_sluice_v1_SetPriorityRequest, _sluice_v1_SetPriorityRequest__Output>
      SetPriorityResponse: MessageTypeDefinition<_sluice_v1_SetPriorityResponse, _sluice_v1_SetPriorityResponse__Output>
      SetQuotaRequest: MessageTypeDefinition<_sluice_v1_SetQuotaRequest, _sluice_v1_SetQuotaRequest__Output>
      SetQuotaResponse: MessageTypeDefinition<_sluice_v1_SetQuotaResponse, _sluice_v1_SetQuotaResponse__Output>
      Tenant: MessageTypeDefinition<_sluice_v1_Tenant, _sluice_v1_Tenant__Output>
      TenantUsage: MessageTypeDefinition<_sluice_v1_TenantUsage, _sluice_v1_TenantUsage__Output>
      UncordonRequest: MessageTypeDefinition<_sluice_v1_UncordonRequest, _sluice_v1_UncordonRequest__Output>
      UncordonResponse: MessageTypeDefinition<_sluice_v1_UncordonResponse, _sluice_v1_UncordonResponse__Output>
    }
  }
}

