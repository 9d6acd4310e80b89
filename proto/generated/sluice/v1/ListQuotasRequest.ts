// Original file: proto/sluice/v1/admin.proto


export interface ListQuotasRequest {
}

export interface ListQuotasRequest__Output {
}
