// Original file: proto/sluice/v1/pool.proto

import type * as grpc from '@grpc/grpc-js'
import type { MethodDefinition } from '@grpc/proto-loader'
import type { AllocateRequest as _sluice_v1_AllocateRequest, AllocateRequest__Output as _sluice_v1_AllocateRequest__Output } from '../../sluice/v1/AllocateRequest.ts';
import type { AllocateResponse as _sluice_v1_AllocateResponse, AllocateResponse__Output as _sluice_v1_AllocateResponse__Output } from '../../sluice/v1/AllocateResponse.ts';
import type { ExplainRequest as _sluice_v1_ExplainRequest, ExplainRequest__Output as _sluice_v1_ExplainRequest__Output } from '../../sluice/v1/ExplainRequest.ts';
import type { ExplainResponse as _sluice_v1_ExplainResponse, ExplainResponse__Output as _sluice_v1_ExplainResponse__Output } from '../../sluice/v1/ExplainResponse.ts';
import type { GetHistoryRequest as _sluice_v1_GetHistoryRequest, GetHistoryRequest__Output as _sluice_v1_GetHistoryRequest__Output } from '../../sluice/v1/GetHistoryRequest.ts';
import type { GetHistoryResponse as _sluice_v1_GetHistoryResponse, GetHistoryResponse__Output as _sluice_v1_GetHistoryResponse__Output } from '../../sluice/v1/GetHistoryResponse.ts';
import type { GetLeaseHistoryRequest as _sluice_v1_GetLeaseHistoryRequest, GetLeaseHistoryRequest__Output as _sluice_v1_GetLeaseHistoryRequest__Output } from '../../sluice/v1/GetLeaseHistoryRequest.ts';
import type { GetLeaseHistoryResponse as _sluice_v1_GetLeaseHistoryResponse, GetLeaseHistoryResponse__Output as _sluice_v1_GetLeaseHistoryResponse__Output } from '../../sluice/v1/GetLeaseHistoryResponse.ts';
import type { GetLeaseRequest as _sluice_v1_GetLeaseRequest, GetLeaseRequest__Output as _sluice_v1_GetLeaseRequest__Output } from '../../sluice/v1/GetLeaseRequest.ts';
import type { GetLeaseResponse as _sluice_v1_GetLeaseResponse, GetLeaseResponse__Output as _sluice_v1_GetLeaseResponse__Output } from '../../sluice/v1/GetLeaseResponse.ts';
import type { HoldRequest as _sluice_v1_HoldRequest, HoldRequest__Output as _sluice_v1_HoldRequest__Output } from '../../sluice/v1/HoldRequest.ts';
import type { HoldResponse as _sluice_v1_HoldResponse, HoldResponse__Output as _sluice_v1_HoldResponse__Output } from '../../sluice/v1/HoldResponse.ts';
import type { ListDevicesRequest as _sluice_v1_ListDevicesRequest, ListDevicesRequest__Output as _sluice_v1_ListDevicesRequest__Output } from '../../sluice/v1/ListDevicesRequest.ts';
import type { ListDevicesResponse as _sluice_v1_ListDevicesResponse, ListDevicesResponse__Output as _sluice_v1_ListDevicesResponse__Output } from '../../sluice/v1/ListDevicesResponse.ts';
import type { ListLeasesRequest as _sluice_v1_ListLeasesRequest, ListLeasesRequest__Output as _sluice_v1_ListLeasesRequest__Output } from '../../sluice/v1/ListLeasesRequest.ts';
import type { ListLeasesResponse as _sluice_v1_ListLeasesResponse, ListLeasesResponse__Output as _sluice_v1_ListLeasesResponse__Output } from '../../sluice/v1/ListLeasesResponse.ts';
import type { ReleaseRequest as _sluice_v1_ReleaseRequest, ReleaseRequest__Output as _sluice_v1_ReleaseRequest__Output } from '../../sluice/v1/ReleaseRequest.ts';
import type { ReleaseResponse as _sluice_v1_ReleaseResponse, ReleaseResponse__Output as _sluice_v1_ReleaseResponse__Output } from '../../sluice/v1/ReleaseResponse.ts';
import type { ResizeRequest as _sluice_v1_ResizeRequest, ResizeRequest__Output as _sluice_v1_ResizeRequest__Output } from '../../sluice/v1/ResizeRequest.ts';
import type { ResizeResponse as _sluice_v1_ResizeResponse, ResizeResponse__Output as _sluice_v1_ResizeResponse__Output } from '../../sluice/v1/ResizeResponse.ts';
import type { ResumeRequest as _sluice_v1_ResumeRequest, ResumeRequest__Output as _sluice_v1_ResumeRequest__Output } from '../../sluice/v1/ResumeRequest.ts';
import type { ResumeResponse as _sluice_v1_ResumeResponse, ResumeResponse__Output as _sluice_v1_ResumeResponse__Output } from '../../sluice/v1/ResumeResponse.ts';
import type { SubmitRequest as _sluice_v1_SubmitRequest, SubmitRequest__Output as _sluice_v1_SubmitRequest__Output } from '../../sluice/v1/SubmitRequest.ts';
import type { SubmitResponse as _sluice_v1_SubmitResponse, SubmitResponse__Output as _sluice_v1_SubmitResponse__Output } from '../../sluice/v1/SubmitResponse.ts';
import type { SuspendRequest as _sluice_v1_SuspendRequest, SuspendRequest__Output as _sluice_v1_SuspendRequest__Output } from '../../sluice/v1/SuspendRequest.ts';
import type { SuspendResponse as _sluice_v1_SuspendResponse, SuspendResponse__Output as _sluice_v1_SuspendResponse__Output } from '../../sluice/v1/SuspendResponse.ts';
import type { WatchPoolRequest as _sluice_v1_WatchPoolRequest, WatchPoolRequest__Output as _sluice_v1_WatchPoolRequest__Output } from '../../sluice/v1/WatchPoolRequest.ts';
import type { WatchPoolResponse as _sluice_v1_WatchPoolResponse, WatchPoolResponse__Output as _sluice_v1_WatchPoolResponse__Output } from '../../sluice/v1/WatchPoolResponse.ts';

/**
 * The pool of one server.
 */
export interface PoolServiceClient extends grpc.Client {
  /**
   * Asks for a lease. The stream tells the position while the request waits, then grants, then ends. A request that can
   * not be served within its wait ends the stream with NO_CAPACITY and the reasons. Cancelling the call withdraws the
   * request; a grant that the client never received is taken back when its first heartbeat does not come.
   */
  Allocate(argument: _sluice_v1_AllocateRequest, metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientReadableStream<_sluice_v1_AllocateResponse__Output>;
  Allocate(argument: _sluice_v1_AllocateRequest, options?: grpc.CallOptions): grpc.ClientReadableStream<_sluice_v1_AllocateResponse__Output>;
  /**
   * Asks for a lease. The stream tells the position while the request waits, then grants, then ends. A request that can
   * not be served within its wait ends the stream with NO_CAPACITY and the reasons. Cancelling the call withdraws the
   * request; a grant that the client never received is taken back when its first heartbeat does not come.
   */
  allocate(argument: _sluice_v1_AllocateRequest, metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientReadableStream<_sluice_v1_AllocateResponse__Output>;
  allocate(argument: _sluice_v1_AllocateRequest, options?: grpc.CallOptions): grpc.ClientReadableStream<_sluice_v1_AllocateResponse__Output>;
  
  /**
   * Tells what would become of a request now, without making it: where it would go, or why not and what is in its way.
   */
  Explain(argument: _sluice_v1_ExplainRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_ExplainResponse__Output>): grpc.ClientUnaryCall;
  Explain(argument: _sluice_v1_ExplainRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_sluice_v1_ExplainResponse__Output>): grpc.ClientUnaryCall;
  Explain(argument: _sluice_v1_ExplainRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_ExplainResponse__Output>): grpc.ClientUnaryCall;
  Explain(argument: _sluice_v1_ExplainRequest, callback: grpc.requestCallback<_sluice_v1_ExplainResponse__Output>): grpc.ClientUnaryCall;
  /**
   * Tells what would become of a request now, without making it: where it would go, or why not and what is in its way.
   */
  explain(argument: _sluice_v1_ExplainRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_ExplainResponse__Output>): grpc.ClientUnaryCall;
  explain(argument: _sluice_v1_ExplainRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_sluice_v1_ExplainResponse__Output>): grpc.ClientUnaryCall;
  explain(argument: _sluice_v1_ExplainRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_ExplainResponse__Output>): grpc.ClientUnaryCall;
  explain(argument: _sluice_v1_ExplainRequest, callback: grpc.requestCallback<_sluice_v1_ExplainResponse__Output>): grpc.ClientUnaryCall;
  
  /**
   * How much was lent, used and waited for over the last hour, day or week. A tenant sees the pool's totals and its own part.
   */
  GetHistory(argument: _sluice_v1_GetHistoryRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_GetHistoryResponse__Output>): grpc.ClientUnaryCall;
  GetHistory(argument: _sluice_v1_GetHistoryRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_sluice_v1_GetHistoryResponse__Output>): grpc.ClientUnaryCall;
  GetHistory(argument: _sluice_v1_GetHistoryRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_GetHistoryResponse__Output>): grpc.ClientUnaryCall;
  GetHistory(argument: _sluice_v1_GetHistoryRequest, callback: grpc.requestCallback<_sluice_v1_GetHistoryResponse__Output>): grpc.ClientUnaryCall;
  /**
   * How much was lent, used and waited for over the last hour, day or week. A tenant sees the pool's totals and its own part.
   */
  getHistory(argument: _sluice_v1_GetHistoryRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_GetHistoryResponse__Output>): grpc.ClientUnaryCall;
  getHistory(argument: _sluice_v1_GetHistoryRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_sluice_v1_GetHistoryResponse__Output>): grpc.ClientUnaryCall;
  getHistory(argument: _sluice_v1_GetHistoryRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_GetHistoryResponse__Output>): grpc.ClientUnaryCall;
  getHistory(argument: _sluice_v1_GetHistoryRequest, callback: grpc.requestCallback<_sluice_v1_GetHistoryResponse__Output>): grpc.ClientUnaryCall;
  
  /**
   * Everything needed to work under a lease whose id and secret one has: for a program that did not allocate it itself.
   */
  GetLease(argument: _sluice_v1_GetLeaseRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_GetLeaseResponse__Output>): grpc.ClientUnaryCall;
  GetLease(argument: _sluice_v1_GetLeaseRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_sluice_v1_GetLeaseResponse__Output>): grpc.ClientUnaryCall;
  GetLease(argument: _sluice_v1_GetLeaseRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_GetLeaseResponse__Output>): grpc.ClientUnaryCall;
  GetLease(argument: _sluice_v1_GetLeaseRequest, callback: grpc.requestCallback<_sluice_v1_GetLeaseResponse__Output>): grpc.ClientUnaryCall;
  /**
   * Everything needed to work under a lease whose id and secret one has: for a program that did not allocate it itself.
   */
  getLease(argument: _sluice_v1_GetLeaseRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_GetLeaseResponse__Output>): grpc.ClientUnaryCall;
  getLease(argument: _sluice_v1_GetLeaseRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_sluice_v1_GetLeaseResponse__Output>): grpc.ClientUnaryCall;
  getLease(argument: _sluice_v1_GetLeaseRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_GetLeaseResponse__Output>): grpc.ClientUnaryCall;
  getLease(argument: _sluice_v1_GetLeaseRequest, callback: grpc.requestCallback<_sluice_v1_GetLeaseResponse__Output>): grpc.ClientUnaryCall;
  
  /**
   * What a lease did in the last ten minutes, for its tenant and admins.
   */
  GetLeaseHistory(argument: _sluice_v1_GetLeaseHistoryRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_GetLeaseHistoryResponse__Output>): grpc.ClientUnaryCall;
  GetLeaseHistory(argument: _sluice_v1_GetLeaseHistoryRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_sluice_v1_GetLeaseHistoryResponse__Output>): grpc.ClientUnaryCall;
  GetLeaseHistory(argument: _sluice_v1_GetLeaseHistoryRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_GetLeaseHistoryResponse__Output>): grpc.ClientUnaryCall;
  GetLeaseHistory(argument: _sluice_v1_GetLeaseHistoryRequest, callback: grpc.requestCallback<_sluice_v1_GetLeaseHistoryResponse__Output>): grpc.ClientUnaryCall;
  /**
   * What a lease did in the last ten minutes, for its tenant and admins.
   */
  getLeaseHistory(argument: _sluice_v1_GetLeaseHistoryRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_GetLeaseHistoryResponse__Output>): grpc.ClientUnaryCall;
  getLeaseHistory(argument: _sluice_v1_GetLeaseHistoryRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_sluice_v1_GetLeaseHistoryResponse__Output>): grpc.ClientUnaryCall;
  getLeaseHistory(argument: _sluice_v1_GetLeaseHistoryRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_GetLeaseHistoryResponse__Output>): grpc.ClientUnaryCall;
  getLeaseHistory(argument: _sluice_v1_GetLeaseHistoryRequest, callback: grpc.requestCallback<_sluice_v1_GetLeaseHistoryResponse__Output>): grpc.ClientUnaryCall;
  
  /**
   * Keeps a lease alive and carries notices about it. The client sends one message at once and then one every
   * `heartbeat_interval_ms`; a lease without a message for `heartbeat_timeout_ms` ends. Ending the stream does not end the
   * lease: the client may open another. The server ends the stream when the lease ends, with the reason as its error.
   */
  Hold(metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientDuplexStream<_sluice_v1_HoldRequest, _sluice_v1_HoldResponse__Output>;
  Hold(options?: grpc.CallOptions): grpc.ClientDuplexStream<_sluice_v1_HoldRequest, _sluice_v1_HoldResponse__Output>;
  /**
   * Keeps a lease alive and carries notices about it. The client sends one message at once and then one every
   * `heartbeat_interval_ms`; a lease without a message for `heartbeat_timeout_ms` ends. Ending the stream does not end the
   * lease: the client may open another. The server ends the stream when the lease ends, with the reason as its error.
   */
  hold(metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientDuplexStream<_sluice_v1_HoldRequest, _sluice_v1_HoldResponse__Output>;
  hold(options?: grpc.CallOptions): grpc.ClientDuplexStream<_sluice_v1_HoldRequest, _sluice_v1_HoldResponse__Output>;
  
  /**
   * All devices of the server, with what is lent and what is free.
   */
  ListDevices(argument: _sluice_v1_ListDevicesRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_ListDevicesResponse__Output>): grpc.ClientUnaryCall;
  ListDevices(argument: _sluice_v1_ListDevicesRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_sluice_v1_ListDevicesResponse__Output>): grpc.ClientUnaryCall;
  ListDevices(argument: _sluice_v1_ListDevicesRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_ListDevicesResponse__Output>): grpc.ClientUnaryCall;
  ListDevices(argument: _sluice_v1_ListDevicesRequest, callback: grpc.requestCallback<_sluice_v1_ListDevicesResponse__Output>): grpc.ClientUnaryCall;
  /**
   * All devices of the server, with what is lent and what is free.
   */
  listDevices(argument: _sluice_v1_ListDevicesRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_ListDevicesResponse__Output>): grpc.ClientUnaryCall;
  listDevices(argument: _sluice_v1_ListDevicesRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_sluice_v1_ListDevicesResponse__Output>): grpc.ClientUnaryCall;
  listDevices(argument: _sluice_v1_ListDevicesRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_ListDevicesResponse__Output>): grpc.ClientUnaryCall;
  listDevices(argument: _sluice_v1_ListDevicesRequest, callback: grpc.requestCallback<_sluice_v1_ListDevicesResponse__Output>): grpc.ClientUnaryCall;
  
  /**
   * All leases and all waiting requests of the server. Of others a tenant sees that they hold and wait, without names, addresses and use,
   * and in place of their ids stand-ins, good for nothing but telling one from the other until the server starts anew.
   */
  ListLeases(argument: _sluice_v1_ListLeasesRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_ListLeasesResponse__Output>): grpc.ClientUnaryCall;
  ListLeases(argument: _sluice_v1_ListLeasesRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_sluice_v1_ListLeasesResponse__Output>): grpc.ClientUnaryCall;
  ListLeases(argument: _sluice_v1_ListLeasesRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_ListLeasesResponse__Output>): grpc.ClientUnaryCall;
  ListLeases(argument: _sluice_v1_ListLeasesRequest, callback: grpc.requestCallback<_sluice_v1_ListLeasesResponse__Output>): grpc.ClientUnaryCall;
  /**
   * All leases and all waiting requests of the server. Of others a tenant sees that they hold and wait, without names, addresses and use,
   * and in place of their ids stand-ins, good for nothing but telling one from the other until the server starts anew.
   */
  listLeases(argument: _sluice_v1_ListLeasesRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_ListLeasesResponse__Output>): grpc.ClientUnaryCall;
  listLeases(argument: _sluice_v1_ListLeasesRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_sluice_v1_ListLeasesResponse__Output>): grpc.ClientUnaryCall;
  listLeases(argument: _sluice_v1_ListLeasesRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_ListLeasesResponse__Output>): grpc.ClientUnaryCall;
  listLeases(argument: _sluice_v1_ListLeasesRequest, callback: grpc.requestCallback<_sluice_v1_ListLeasesResponse__Output>): grpc.ClientUnaryCall;
  
  /**
   * Ends a lease and returns what it used, once its memory is back in the pool. Releasing a lease that has ended
   * already succeeds.
   */
  Release(argument: _sluice_v1_ReleaseRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_ReleaseResponse__Output>): grpc.ClientUnaryCall;
  Release(argument: _sluice_v1_ReleaseRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_sluice_v1_ReleaseResponse__Output>): grpc.ClientUnaryCall;
  Release(argument: _sluice_v1_ReleaseRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_ReleaseResponse__Output>): grpc.ClientUnaryCall;
  Release(argument: _sluice_v1_ReleaseRequest, callback: grpc.requestCallback<_sluice_v1_ReleaseResponse__Output>): grpc.ClientUnaryCall;
  /**
   * Ends a lease and returns what it used, once its memory is back in the pool. Releasing a lease that has ended
   * already succeeds.
   */
  release(argument: _sluice_v1_ReleaseRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_ReleaseResponse__Output>): grpc.ClientUnaryCall;
  release(argument: _sluice_v1_ReleaseRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_sluice_v1_ReleaseResponse__Output>): grpc.ClientUnaryCall;
  release(argument: _sluice_v1_ReleaseRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_ReleaseResponse__Output>): grpc.ClientUnaryCall;
  release(argument: _sluice_v1_ReleaseRequest, callback: grpc.requestCallback<_sluice_v1_ReleaseResponse__Output>): grpc.ClientUnaryCall;
  
  /**
   * Changes the size of one slice of a lease, in place: what lies below the smaller of both sizes stays as it is. Only on devices
   * that are shared dynamically. One change of a lease at a time: SESSION_BUSY.
   */
  Resize(argument: _sluice_v1_ResizeRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_ResizeResponse__Output>): grpc.ClientUnaryCall;
  Resize(argument: _sluice_v1_ResizeRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_sluice_v1_ResizeResponse__Output>): grpc.ClientUnaryCall;
  Resize(argument: _sluice_v1_ResizeRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_ResizeResponse__Output>): grpc.ClientUnaryCall;
  Resize(argument: _sluice_v1_ResizeRequest, callback: grpc.requestCallback<_sluice_v1_ResizeResponse__Output>): grpc.ClientUnaryCall;
  /**
   * Changes the size of one slice of a lease, in place: what lies below the smaller of both sizes stays as it is. Only on devices
   * that are shared dynamically. One change of a lease at a time: SESSION_BUSY.
   */
  resize(argument: _sluice_v1_ResizeRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_ResizeResponse__Output>): grpc.ClientUnaryCall;
  resize(argument: _sluice_v1_ResizeRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_sluice_v1_ResizeResponse__Output>): grpc.ClientUnaryCall;
  resize(argument: _sluice_v1_ResizeRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_ResizeResponse__Output>): grpc.ClientUnaryCall;
  resize(argument: _sluice_v1_ResizeRequest, callback: grpc.requestCallback<_sluice_v1_ResizeResponse__Output>): grpc.ClientUnaryCall;
  
  /**
   * Lets a suspended lease come back as soon as its devices have room: until then it waits in the queue, in the place of its own request. What an
   * admin has suspended, admins alone let come back (ADMIN_ONLY). Succeeds for a lease that is not suspended.
   */
  Resume(argument: _sluice_v1_ResumeRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_ResumeResponse__Output>): grpc.ClientUnaryCall;
  Resume(argument: _sluice_v1_ResumeRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_sluice_v1_ResumeResponse__Output>): grpc.ClientUnaryCall;
  Resume(argument: _sluice_v1_ResumeRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_ResumeResponse__Output>): grpc.ClientUnaryCall;
  Resume(argument: _sluice_v1_ResumeRequest, callback: grpc.requestCallback<_sluice_v1_ResumeResponse__Output>): grpc.ClientUnaryCall;
  /**
   * Lets a suspended lease come back as soon as its devices have room: until then it waits in the queue, in the place of its own request. What an
   * admin has suspended, admins alone let come back (ADMIN_ONLY). Succeeds for a lease that is not suspended.
   */
  resume(argument: _sluice_v1_ResumeRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_ResumeResponse__Output>): grpc.ClientUnaryCall;
  resume(argument: _sluice_v1_ResumeRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_sluice_v1_ResumeResponse__Output>): grpc.ClientUnaryCall;
  resume(argument: _sluice_v1_ResumeRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_ResumeResponse__Output>): grpc.ClientUnaryCall;
  resume(argument: _sluice_v1_ResumeRequest, callback: grpc.requestCallback<_sluice_v1_ResumeResponse__Output>): grpc.ClientUnaryCall;
  
  /**
   * The data plane for clients that reach only this port: both ways the bytes of a data connection (proto/README.md, "Frames"), cut
   * into messages anywhere. Slower than any other data endpoint: the last choice.
   */
  Submit(metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientDuplexStream<_sluice_v1_SubmitRequest, _sluice_v1_SubmitResponse__Output>;
  Submit(options?: grpc.CallOptions): grpc.ClientDuplexStream<_sluice_v1_SubmitRequest, _sluice_v1_SubmitResponse__Output>;
  /**
   * The data plane for clients that reach only this port: both ways the bytes of a data connection (proto/README.md, "Frames"), cut
   * into messages anywhere. Slower than any other data endpoint: the last choice.
   */
  submit(metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientDuplexStream<_sluice_v1_SubmitRequest, _sluice_v1_SubmitResponse__Output>;
  submit(options?: grpc.CallOptions): grpc.ClientDuplexStream<_sluice_v1_SubmitRequest, _sluice_v1_SubmitResponse__Output>;
  
  /**
   * Lets a lease give its device memory back for a while: it is saved on the server's host, and whoever waits can have it. The lease's program
   * notices nothing but time: its calls wait. Returns when the memory is back in the pool. The lease comes back at `Resume`, with every byte and
   * address as before. For the lease's tenant and admins. Of one that is suspended already the reason is replaced, and it comes back no more
   * by itself; one that is coming back is suspended once it has. A lease that cannot be suspended, or is told to go on meanwhile, runs on:
   * SESSION_BUSY, UNSUPPORTED, STORE_FAILED, CANCELLED.
   */
  Suspend(argument: _sluice_v1_SuspendRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_SuspendResponse__Output>): grpc.ClientUnaryCall;
  Suspend(argument: _sluice_v1_SuspendRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_sluice_v1_SuspendResponse__Output>): grpc.ClientUnaryCall;
  Suspend(argument: _sluice_v1_SuspendRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_SuspendResponse__Output>): grpc.ClientUnaryCall;
  Suspend(argument: _sluice_v1_SuspendRequest, callback: grpc.requestCallback<_sluice_v1_SuspendResponse__Output>): grpc.ClientUnaryCall;
  /**
   * Lets a lease give its device memory back for a while: it is saved on the server's host, and whoever waits can have it. The lease's program
   * notices nothing but time: its calls wait. Returns when the memory is back in the pool. The lease comes back at `Resume`, with every byte and
   * address as before. For the lease's tenant and admins. Of one that is suspended already the reason is replaced, and it comes back no more
   * by itself; one that is coming back is suspended once it has. A lease that cannot be suspended, or is told to go on meanwhile, runs on:
   * SESSION_BUSY, UNSUPPORTED, STORE_FAILED, CANCELLED.
   */
  suspend(argument: _sluice_v1_SuspendRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_SuspendResponse__Output>): grpc.ClientUnaryCall;
  suspend(argument: _sluice_v1_SuspendRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_sluice_v1_SuspendResponse__Output>): grpc.ClientUnaryCall;
  suspend(argument: _sluice_v1_SuspendRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_sluice_v1_SuspendResponse__Output>): grpc.ClientUnaryCall;
  suspend(argument: _sluice_v1_SuspendRequest, callback: grpc.requestCallback<_sluice_v1_SuspendResponse__Output>): grpc.ClientUnaryCall;
  
  /**
   * The pool as it is, and then as it changes, until the caller ends the stream. The first message is a snapshot; each later one
   * holds what has changed meanwhile, each item as a whole. A slow reader gets fewer messages, never older ones, and one that
   * reads nothing for 30 seconds is cut off. A message comes at least every 5 seconds.
   */
  WatchPool(argument: _sluice_v1_WatchPoolRequest, metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientReadableStream<_sluice_v1_WatchPoolResponse__Output>;
  WatchPool(argument: _sluice_v1_WatchPoolRequest, options?: grpc.CallOptions): grpc.ClientReadableStream<_sluice_v1_WatchPoolResponse__Output>;
  /**
   * The pool as it is, and then as it changes, until the caller ends the stream. The first message is a snapshot; each later one
   * holds what has changed meanwhile, each item as a whole. A slow reader gets fewer messages, never older ones, and one that
   * reads nothing for 30 seconds is cut off. A message comes at least every 5 seconds.
   */
  watchPool(argument: _sluice_v1_WatchPoolRequest, metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientReadableStream<_sluice_v1_WatchPoolResponse__Output>;
  watchPool(argument: _sluice_v1_WatchPoolRequest, options?: grpc.CallOptions): grpc.ClientReadableStream<_sluice_v1_WatchPoolResponse__Output>;
  
}

/**
 * The pool of one server.
 */
export interface PoolServiceHandlers extends grpc.UntypedServiceImplementation {
  /**
   * Asks for a lease. The stream tells the position while the request waits, then grants, then ends. A request that can
   * not be served within its wait ends the stream with NO_CAPACITY and the reasons. Cancelling the call withdraws the
   * request; a grant that the client never received is taken back when its first heartbeat does not come.
   */
  Allocate: grpc.handleServerStreamingCall<_sluice_v1_AllocateRequest__Output, _sluice_v1_AllocateResponse>;
  
  /**
   * Tells what would become of a request now, without making it: where it would go, or why not and what is in its way.
   */
  Explain: grpc.handleUnaryCall<_sluice_v1_ExplainRequest__Output, _sluice_v1_ExplainResponse>;
  
  /**
   * How much was lent, used and waited for over the last hour, day or week. A tenant sees the pool's totals and its own part.
   */
  GetHistory: grpc.handleUnaryCall<_sluice_v1_GetHistoryRequest__Output, _sluice_v1_GetHistoryResponse>;
  
  /**
   * Everything needed to work under a lease whose id and secret one has: for a program that did not allocate it itself.
   */
  GetLease: grpc.handleUnaryCall<_sluice_v1_GetLeaseRequest__Output, _sluice_v1_GetLeaseResponse>;
  
  /**
   * What a lease did in the last ten minutes, for its tenant and admins.
   */
  GetLeaseHistory: grpc.handleUnaryCall<_sluice_v1_GetLeaseHistoryRequest__Output, _sluice_v1_GetLeaseHistoryResponse>;
  
  /**
   * Keeps a lease alive and carries notices about it. The client sends one message at once and then one every
   * `heartbeat_interval_ms`; a lease without a message for `heartbeat_timeout_ms` ends. Ending the stream does not end the
   * lease: the client may open another. The server ends the stream when the lease ends, with the reason as its error.
   */
  Hold: grpc.handleBidiStreamingCall<_sluice_v1_HoldRequest__Output, _sluice_v1_HoldResponse>;
  
  /**
   * All devices of the server, with what is lent and what is free.
   */
  ListDevices: grpc.handleUnaryCall<_sluice_v1_ListDevicesRequest__Output, _sluice_v1_ListDevicesResponse>;
  
  /**
   * All leases and all waiting requests of the server. Of others a tenant sees that they hold and wait, without names, addresses and use,
   * and in place of their ids stand-ins, good for nothing but telling one from the other until the server starts anew.
   */
  ListLeases: grpc.handleUnaryCall<_sluice_v1_ListLeasesRequest__Output, _sluice_v1_ListLeasesResponse>;
  
  /**
   * Ends a lease and returns what it used, once its memory is back in the pool. Releasing a lease that has ended
   * already succeeds.
   */
  Release: grpc.handleUnaryCall<_sluice_v1_ReleaseRequest__Output, _sluice_v1_ReleaseResponse>;
  
  /**
   * Changes the size of one slice of a lease, in place: what lies below the smaller of both sizes stays as it is. Only on devices
   * that are shared dynamically. One change of a lease at a time: SESSION_BUSY.
   */
  Resize: grpc.handleUnaryCall<_sluice_v1_ResizeRequest__Output, _sluice_v1_ResizeResponse>;
  
  /**
   * Lets a suspended lease come back as soon as its devices have room: until then it waits in the queue, in the place of its own request. What an
   * admin has suspended, admins alone let come back (ADMIN_ONLY). Succeeds for a lease that is not suspended.
   */
  Resume: grpc.handleUnaryCall<_sluice_v1_ResumeRequest__Output, _sluice_v1_ResumeResponse>;
  
  /**
   * The data plane for clients that reach only this port: both ways the bytes of a data connection (proto/README.md, "Frames"), cut
   * into messages anywhere. Slower than any other data endpoint: the last choice.
   */
  Submit: grpc.handleBidiStreamingCall<_sluice_v1_SubmitRequest__Output, _sluice_v1_SubmitResponse>;
  
  /**
   * Lets a lease give its device memory back for a while: it is saved on the server's host, and whoever waits can have it. The lease's program
   * notices nothing but time: its calls wait. Returns when the memory is back in the pool. The lease comes back at `Resume`, with every byte and
   * address as before. For the lease's tenant and admins. Of one that is suspended already the reason is replaced, and it comes back no more
   * by itself; one that is coming back is suspended once it has. A lease that cannot be suspended, or is told to go on meanwhile, runs on:
   * SESSION_BUSY, UNSUPPORTED, STORE_FAILED, CANCELLED.
   */
  Suspend: grpc.handleUnaryCall<_sluice_v1_SuspendRequest__Output, _sluice_v1_SuspendResponse>;
  
  /**
   * The pool as it is, and then as it changes, until the caller ends the stream. The first message is a snapshot; each later one
   * holds what has changed meanwhile, each item as a whole. A slow reader gets fewer messages, never older ones, and one that
   * reads nothing for 30 seconds is cut off. A message comes at least every 5 seconds.
   */
  WatchPool: grpc.handleServerStreamingCall<_sluice_v1_WatchPoolRequest__Output, _sluice_v1_WatchPoolResponse>;
  
}

export interface PoolServiceDefinition extends grpc.ServiceDefinition {
  Allocate: MethodDefinition<_sluice_v1_AllocateRequest, _sluice_v1_AllocateResponse, _sluice_v1_AllocateRequest__Output, _sluice_v1_AllocateResponse__Output>
  Explain: MethodDefinition<_sluice_v1_ExplainRequest, _sluice_v1_ExplainResponse, _sluice_v1_ExplainRequest__Output, _sluice_v1_ExplainResponse__Output>
  GetHistory: MethodDefinition<_sluice_v1_GetHistoryRequest, _sluice_v1_GetHistoryResponse, _sluice_v1_GetHistoryRequest__Output, _sluice_v1_GetHistoryResponse__Output>
  GetLease: MethodDefinition<_sluice_v1_GetLeaseRequest, _sluice_v1_GetLeaseResponse, _sluice_v1_GetLeaseRequest__Output, _sluice_v1_GetLeaseResponse__Output>
  GetLeaseHistory: MethodDefinition<_sluice_v1_GetLeaseHistoryRequest, _sluice_v1_GetLeaseHistoryResponse, _sluice_v1_GetLeaseHistoryRequest__Output, _sluice_v1_GetLeaseHistoryResponse__Output>
  Hold: MethodDefinition<_sluice_v1_HoldRequest, _sluice_v1_HoldResponse, _sluice_v1_HoldRequest__Output, _sluice_v1_HoldResponse__Output>
  ListDevices: MethodDefinition<_sluice_v1_ListDevicesRequest, _sluice_v1_ListDevicesResponse, _sluice_v1_ListDevicesRequest__Output, _sluice_v1_ListDevicesResponse__Output>
  ListLeases: MethodDefinition<_sluice_v1_ListLeasesRequest, _sluice_v1_ListLeasesResponse, _sluice_v1_ListLeasesRequest__Output, _sluice_v1_ListLeasesResponse__Output>
  Release: MethodDefinition<_sluice_v1_ReleaseRequest, _sluice_v1_ReleaseResponse, _sluice_v1_ReleaseRequest__Output, _sluice_v1_ReleaseResponse__Output>
  Resize: MethodDefinition<_sluice_v1_ResizeRequest, _sluice_v1_ResizeResponse, _sluice_v1_ResizeRequest__Output, _sluice_v1_ResizeResponse__Output>
  Resume: MethodDefinition<_sluice_v1_ResumeRequest, _sluice_v1_ResumeResponse, _sluice_v1_ResumeRequest__Output, _sluice_v1_ResumeResponse__Output>
  Submit: MethodDefinition<_sluice_v1_SubmitRequest, _sluice_v1_SubmitResponse, _sluice_v1_SubmitRequest__Output, _sluice_v1_SubmitResponse__Output>
  Suspend: MethodDefinition<_sluice_v1_SuspendRequest, _sluice_v1_SuspendResponse, _sluice_v1_SuspendRequest__Output, _sluice_v1_SuspendResponse__Output>
  WatchPool: MethodDefinition<_sluice_v1_WatchPoolRequest, _sluice_v1_WatchPoolResponse, _sluice_v1_WatchPoolRequest__Output, _sluice_v1_WatchPoolResponse__Output>
}
