// Original file: proto/sluice/v1/admin.proto


export interface UnreserveResponse {
}

export interface UnreserveResponse__Output {
}
