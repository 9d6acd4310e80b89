// Original file: proto/sluice/v1/admin.proto


export interface CordonResponse {
}

export interface CordonResponse__Output {
}
