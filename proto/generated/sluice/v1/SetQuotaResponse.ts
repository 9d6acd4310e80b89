// Original file: proto/sluice/v1/admin.proto


export interface SetQuotaResponse {
}

export interface SetQuotaResponse__Output {
}
