// Original file: proto/sluice/v1/admin.proto


export interface CancelQueuedResponse {
}

export interface CancelQueuedResponse__Output {
}
